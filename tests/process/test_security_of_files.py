"""What others can do to a search by what they own or have put into its directories: nothing but be refused."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.errors import ProjectError
from aiotune.executors import SpawnError
from aiotune.store import Layout
from aiotune.store._ownership import foreign_link, owner_of


class Search(aiotune.RandomSearch):
    """Two trials, at once in their values and in their ends."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))


def tuner(folder: Path, **options: Any) -> Search:
    given: dict[str, Any] = {"max_trials": 2, "executor": "inline", "project_name": "p"}
    return Search(directory=folder, seed=5, **(given | options))


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Give a folder that is no part of any project, with files that go by a project's names."""
    folder = tmp_path / "precious"
    (folder / "attempt-01").mkdir(parents=True)
    for name in ("checkpoint.weights.h5", "resume.json", "attempt-01/output.log"):
        (folder / name).write_text("precious")
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def be_another_user(monkeypatch: pytest.MonkeyPatch, *links: Path) -> None:
    """Let what there is be another user's: by giving links away, or else by taking another number."""
    if links and os.geteuid() == 0:
        for link in links:
            os.lchown(link, 54321, 54321)
    else:
        other = os.geteuid() + 54321
        monkeypatch.setattr(os, "geteuid", lambda: other)


# ── whose a directory is ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mode", "told"),
    [(0o770, r"by its group.*chmod g-w"), (0o702, r"by every user.*chmod o-w")],
)
async def test_a_directory_that_others_may_write_to_is_refused(
    tmp_path: Path, mode: int, told: str
) -> None:
    """Who may write there is named, with the command that ends it; nothing is written meanwhile."""
    project = tmp_path / "p"
    project.mkdir()
    project.chmod(mode)

    with pytest.raises(ProjectError, match=told):
        await tuner(tmp_path).search(verbose=0)
    assert list(project.iterdir()) == []


async def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is named."""
    project = tmp_path / "p"
    project.mkdir(mode=0o700)
    assert owner_of(project) is None
    be_another_user(monkeypatch)

    with pytest.raises(ProjectError, match=r"belongs to the user .* allow_shared=True"):
        await tuner(tmp_path).search(verbose=0)


async def test_a_shared_directory_is_used_if_that_is_wanted(tmp_path: Path) -> None:
    """A lab's group may trust each other as each trusts themselves."""
    project = tmp_path / "p"
    project.mkdir()
    project.chmod(0o770)
    result = await tuner(tmp_path, allow_shared=True).search(verbose=0)

    assert result.counts == {"COMPLETED": 2}


def test_a_link_of_another_user_on_the_way_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that only another link leads to; one's own links are followed."""
    (tmp_path / "disk").mkdir()
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.symlink_to("disk")
    ours.symlink_to(theirs)
    before = foreign_link(ours / "p") if (ours / "p").exists() else foreign_link(ours)
    be_another_user(monkeypatch, theirs)

    assert before is None
    found = foreign_link(ours)
    assert found in {theirs, ours}
    assert foreign_link(tmp_path / "disk") is None


# ── what lies in the place of a project's files ────────────────────────────


@pytest.mark.parametrize("place", ["LOCK", "journal", "journal/000001.jsonl", "events.log"])
async def test_a_link_in_the_place_of_a_projects_file_is_refused(
    tmp_path: Path, precious: Path, place: str
) -> None:
    """Nothing is written to where it leads."""
    project = tmp_path / "p"
    project.mkdir(mode=0o700)
    link = project / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(precious if place == "journal" else precious / "resume.json")
    before = contents(precious)

    with pytest.raises(ProjectError):
        await tuner(tmp_path).search(verbose=0)
    assert contents(precious) == before


async def test_a_link_in_the_place_of_a_trials_folder_ends_the_search(
    tmp_path: Path, precious: Path
) -> None:
    """No output goes to where it leads; that the log cannot be opened is said at once."""
    await tuner(tmp_path, max_trials=1).search(verbose=0)
    Layout(tmp_path, "p").trial_dir("1").symlink_to(precious)
    before = contents(precious)

    with pytest.raises(SpawnError, match=r"cannot be opened.*not followed"):
        await tuner(tmp_path, max_trials=2, executor="local").search(verbose=0)
    assert contents(precious) == before


def test_nothing_is_removed_behind_a_link(tmp_path: Path, precious: Path) -> None:
    """Weights of overtaken trials are removed, but not those of another folder."""
    from aiotune._retention import _unlink

    layout = Layout(tmp_path, "p")
    layout.project_dir.mkdir()
    layout.trial_dir("1").symlink_to(precious)
    before = contents(precious)
    _unlink([(layout.trial_dir("1"), re.compile(".*"))])

    assert contents(precious) == before


def test_a_state_is_not_read_or_written_through_a_link(tmp_path: Path, precious: Path) -> None:
    """A subclass's state replaces a link in its place, and is not taken from where it led."""

    class Remembers(Search):
        def get_state(self) -> dict[str, Any]:
            return {"seen": 1}

    project = tmp_path / "p"
    project.mkdir(mode=0o700)
    given: dict[str, Any] = {"directory": tmp_path, "project_name": "p", "executor": "inline"}
    asyncio.run(Remembers(max_trials=1, **given).search(verbose=0))
    (project / "tuner0.json").unlink()
    (project / "tuner0.json").symlink_to(precious / "resume.json")
    before = contents(precious)
    again = Remembers(max_trials=2, **given)

    with pytest.raises(ProjectError, match="cannot be read"):
        again.reload()
    again.save()
    assert contents(precious) == before
    assert (project / "tuner0.json").read_text() == '{"seen": 1}'
