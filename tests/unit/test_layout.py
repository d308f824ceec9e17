"""Every path of a project lies below its directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aiotune.errors import ConfigurationError
from aiotune.store import Layout

_REFUSED = [
    "",
    ".",
    "..",
    "a/b",
    "/abs",
    "a..b",
    ".hidden",
    "-option",
    "a" * 65,
    "a\n",
    "a b",
    "a\0",
    "über",
    "٣",
]


def test_every_path_is_below_the_project(tmp_path: Path) -> None:
    """No path leaves the project, and no two are the same."""
    layout = Layout(tmp_path, "mnist")
    paths = [
        layout.lock_file,
        layout.journal_dir,
        layout.segment(1),
        layout.segment(2),
        layout.events_log,
        layout.probe_log,
        layout.workers_log,
        layout.trial_dir("0001"),
        layout.checkpoint("0001"),
        layout.attempt_dir("0001", 1),
        layout.output_log("0001", 1),
        layout.output_log("0001", 2),
        layout.output_log("0002", 1),
        layout.result_file("0001", 1),
    ]

    assert layout.project_dir == tmp_path / "mnist"
    assert [path for path in paths if not path.is_relative_to(tmp_path / "mnist")] == []
    assert len(set(paths)) == len(paths)


def test_names_are_those_of_the_format(tmp_path: Path) -> None:
    """The names on disk are part of the format, so they do not change."""
    layout = Layout(tmp_path, "mnist")

    assert layout.segment(12) == tmp_path / "mnist/journal/000012.jsonl"
    assert layout.checkpoint("0007") == tmp_path / "mnist/trial_0007/checkpoint.weights.h5"
    assert layout.result_file("0007", 2) == tmp_path / "mnist/trial_0007/attempt-02/result.json"


def test_text_paths_agree_with_the_others(tmp_path: Path) -> None:
    """The faster form names the same files."""
    layout = Layout(tmp_path, "mnist")
    paths = layout.attempt_paths("0007", 11)

    assert Path(paths.trial_dir) == layout.trial_dir("0007")
    assert Path(paths.attempt_dir) == layout.attempt_dir("0007", 11)
    assert Path(paths.output_log) == layout.output_log("0007", 11)


def test_default_is_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments the project is ``untitled_project`` here, and stays so after a chdir."""
    monkeypatch.chdir(tmp_path)
    layout = Layout()
    monkeypatch.chdir("/")

    assert layout.project_dir == tmp_path / "untitled_project"


def test_directory_may_be_text_with_folders(tmp_path: Path) -> None:
    """Only the name is plain; the directory is any path."""
    layout = Layout(f"{tmp_path}/a/../b.c/über", "v1.0-rc_2")

    assert layout.project_dir == tmp_path / "a/../b.c/über/v1.0-rc_2"


@pytest.mark.parametrize("name", ["a", "0", "A.b_c-d", "a" * 64, "a."])
def test_plain_name_is_taken(tmp_path: Path, name: str) -> None:
    """Letters, digits, dot, underscore and hyphen make a name, up to 64 of them."""
    assert Layout(tmp_path, name).project_dir == tmp_path / name


@pytest.mark.parametrize("name", _REFUSED, ids=ascii)
def test_other_project_name_is_refused(tmp_path: Path, name: str) -> None:
    """Whatever could leave the directory, hide, or surprise a shell is refused with a sentence."""
    with pytest.raises(ConfigurationError) as caught:
        Layout(tmp_path, name)

    assert f"The project_name {name!r} is not a plain name" in str(caught.value)
    assert "Put folders into directory=... instead." in str(caught.value)


@pytest.mark.parametrize("name", _REFUSED, ids=ascii)
@pytest.mark.parametrize(
    "path",
    [
        Layout.trial_dir,
        Layout.checkpoint,
        lambda layout, name: layout.attempt_dir(name, 1),
        lambda layout, name: layout.attempt_paths(name, 1),
        lambda layout, name: layout.output_log(name, 1),
        lambda layout, name: layout.result_file(name, 1),
    ],
    ids=["trial", "checkpoint", "attempt", "text", "log", "result"],
)
def test_other_trial_id_is_refused(
    tmp_path: Path, path: Callable[[Layout, str], object], name: str
) -> None:
    """A trial's id that reached us from outside cannot lead out of the project."""
    with pytest.raises(ConfigurationError, match=r"The trial id .* is not a plain name"):
        path(Layout(tmp_path, "mnist"), name)
