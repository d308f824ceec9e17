"""Project directories: made, taken, refused, discarded, read."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path

import pytest

from aiotune.errors import JournalCorrupt, ProjectError, ProjectLocked, StorageError
from aiotune.events import Event, ProjectClosed, ProjectCreated, ProjectOpened, TrialRequeued
from aiotune.store import FileStore, Layout, open_project, read_events

_FACT: Event = TrialRequeued(trial_id="0000", reason="lost")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "projects", "mnist")


async def _run(layout: Layout, *events: Event, overwrite: bool = False) -> list[Event]:
    """Open, append, close; return the history that was found."""
    store = await open_project(layout, overwrite=overwrite)
    try:
        await store.append(*events)
        return list(store.history())
    finally:
        await store.aclose()


def _read(layout: Layout) -> list[str]:
    return [type(event).__name__ for event in read_events(layout)]


def _tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


async def test_new_project_is_private(layout: Layout) -> None:
    """Directories are 0700 and files 0600: scripts and values are nobody else's business."""
    await _run(layout)
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in (layout.project_dir, *layout.project_dir.rglob("*"))
    }

    assert modes == {"mnist": 0o700, "journal": 0o700, "LOCK": 0o600, "000001.jsonl": 0o600}


async def test_project_tells_who_opened_and_closed_it(layout: Layout) -> None:
    """It is created once, and opened and closed each time."""
    assert await _run(layout, _FACT) == []
    found = await _run(layout)
    events = await asyncio.to_thread(read_events, layout)

    assert [type(event) for event in found] == [
        ProjectCreated,
        ProjectOpened,
        TrialRequeued,
        ProjectClosed,
    ]
    assert [type(event) for event in events[4:]] == [ProjectOpened, ProjectClosed]
    assert isinstance(found[0], ProjectCreated)
    assert isinstance(found[1], ProjectOpened)
    assert (found[0].format, found[1].pid) == (1, os.getpid())


async def test_close_is_a_batch_of_its_own(layout: Layout) -> None:
    """The last record proves that all before it had reached the disk."""
    store = await open_project(layout)
    store.append(_FACT)
    await store.aclose()
    data = layout.segment(1).read_bytes()
    last = data.splitlines(keepends=True)[-1]

    assert b'"type":"project_closed"' in last
    assert b'"b":%d,' % (len(data) - len(last)) in last


async def test_damage_to_any_byte_of_a_closed_project_is_seen(layout: Layout) -> None:
    """Before its last record, nothing of a finished project can change in silence."""
    await _run(layout, _FACT)
    data = layout.segment(1).read_bytes()
    last = len(data.splitlines(keepends=True)[-1])

    def damaged(at: int) -> bool:
        layout.segment(1).unlink()
        layout.segment(1).write_bytes(data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :])
        try:
            read_events(layout)
        except JournalCorrupt:
            return True
        return False

    seen = await asyncio.to_thread(lambda: [damaged(at) for at in range(len(data) - last)])

    assert seen == [True] * (len(data) - last)


async def test_second_opener_is_refused(layout: Layout) -> None:
    """While one search holds the project another is refused, and the first one goes on."""
    store = await open_project(layout)

    with pytest.raises(ProjectLocked, match=f"pid {os.getpid()} on "):
        await open_project(layout)
    with pytest.raises(ProjectLocked):
        await open_project(layout, overwrite=True)
    await store.append(_FACT)
    await store.aclose()

    assert "TrialRequeued" in await asyncio.to_thread(_read, layout)


async def test_deleted_lock_ends_the_first_search(layout: Layout) -> None:
    """If the LOCK file is deleted and another search gets in, the first notices before it writes."""
    first = await open_project(layout)
    layout.lock_file.unlink()
    second = await open_project(layout)

    with pytest.raises(StorageError, match="Another process wrote to the journal"):
        await first.append(_FACT)
    await second.append(_FACT)
    await first.aclose()
    await second.aclose()

    assert (await asyncio.to_thread(_read, layout))[1:] == [
        "ProjectOpened",
        "ProjectOpened",
        "TrialRequeued",
        "ProjectClosed",
    ]


async def test_project_is_read_while_it_is_written(layout: Layout) -> None:
    """A reader needs no lock, and leaves out a record that is not finished."""
    store = await open_project(layout)
    await store.append(_FACT)
    with_fact = await asyncio.to_thread(_read, layout)
    with layout.segment(1).open("ab") as file:
        file.write(b"0badc0de half a rec")
    with_half = await asyncio.to_thread(_read, layout)
    await store.aclose()

    assert with_fact == with_half == ["ProjectCreated", "ProjectOpened", "TrialRequeued"]


def test_project_that_is_not_there_has_no_events(layout: Layout) -> None:
    """Reading makes nothing."""
    assert read_events(layout) == []
    assert not layout.project_dir.exists()


def test_project_that_cannot_be_read_is_told(layout: Layout) -> None:
    """What the system says against reading becomes a sentence with the place."""
    layout.segment(1).mkdir(parents=True)

    with pytest.raises(ProjectError, match=r"journal in .* cannot be read: Is a directory\. Give"):
        read_events(layout)


async def test_torn_tail_is_cut_and_told(layout: Layout) -> None:
    """The store says how many bytes a repair cost."""
    await _run(layout, _FACT)
    with layout.segment(1).open("ab") as file:
        file.write(b"0badc0de half")

    store = await open_project(layout)
    await store.aclose()

    assert store.repaired == len(b"0badc0de half")
    assert [path.read_bytes() for path in layout.journal_dir.glob("torn-*")] == [b"0badc0de half"]


async def test_corrupt_project_is_let_go(layout: Layout) -> None:
    """A refusal frees the lock, so that the restored project opens."""
    await _run(layout, _FACT)
    data = layout.segment(1).read_bytes()
    layout.segment(1).write_bytes(b"#" + data[1:])

    with pytest.raises(JournalCorrupt):
        await open_project(layout)
    layout.segment(1).write_bytes(data)

    assert len(await _run(layout)) == 4


async def test_project_that_cannot_be_written_is_let_go(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its first record fails, the opening raises and neither lock nor thread remains."""

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        await open_project(layout)
    monkeypatch.undo()

    assert await _run(layout, _FACT) != []


async def test_overwrite_discards_a_project_of_ours(layout: Layout) -> None:
    """Journal and trials are gone, and nothing of the discarding is left."""
    await _run(layout, _FACT)
    layout.attempt_dir("0000", 1).mkdir(parents=True)
    layout.output_log("0000", 1).write_text("output")
    (layout.project_dir / "notes.txt").write_text("mine")

    assert await _run(layout, overwrite=True) == []
    assert sorted(_tree(layout.project_dir)) == ["LOCK", "journal", "journal/000001.jsonl"]


async def test_overwrite_of_nothing_is_a_new_project(layout: Layout) -> None:
    """Without a project there is nothing to discard."""
    assert await _run(layout, overwrite=True) == []
    assert layout.segment(1).is_file()


@pytest.mark.parametrize("fails_at", range(1, 5))
async def test_killed_discard_is_finished(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """Stopped after any step, the discarded project never comes back, and the next opening cleans up."""
    await _run(layout, _FACT)
    for name in ("trial_0000", "trial_0001"):
        (layout.project_dir / name).mkdir()
    calls = 0
    rename, rmtree = Path.rename, shutil.rmtree

    def step() -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def renaming(path: Path, target: Path) -> Path:
        step()
        return rename(path, target)

    def removing(path: Path) -> None:
        step()
        rmtree(path)

    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(shutil, "rmtree", removing)
    with pytest.raises(ProjectError, match="cannot be used: Input/output error"):
        await open_project(layout, overwrite=True)
    monkeypatch.undo()

    assert calls == fails_at
    assert await _run(layout) == []
    assert sorted(_tree(layout.project_dir)) == ["LOCK", "journal", "journal/000001.jsonl"]


@pytest.mark.parametrize("overwrite", [False, True], ids=["continue", "overwrite"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["thesis.tex"], "is not empty and not a project of aiotune; it holds thesis.tex."),
        (["a", "b", "c", "d"], "it holds a, b, c and more. Choose another project_name"),
        (["LOCK", "CURRENT"], "is not empty and not a project of aiotune; it holds CURRENT."),
        (
            ["oracle.json", "trial_0", "tuner0.json"],
            "holds a project of KerasTuner. Choose another project_name, and to go on with",
        ),
    ],
    ids=["foreign", "many", "with a LOCK", "KerasTuner"],
)
async def test_directory_of_something_else_is_left_alone(
    layout: Layout, names: list[str], expected: str, overwrite: bool
) -> None:
    """It is refused with a sentence that says what it holds, and not a byte of it changes."""
    layout.project_dir.mkdir(parents=True)
    for name in names:
        (layout.project_dir / name).write_text(f"text of {name}")
    before = _tree(layout.project_dir)

    with pytest.raises(ProjectError) as caught:
        await open_project(layout, overwrite=overwrite)

    assert str(caught.value).startswith(f"{layout.project_dir} ")
    assert expected in str(caught.value)
    assert _tree(layout.project_dir) == before


@pytest.mark.parametrize("overwrite", [False, True], ids=["continue", "overwrite"])
async def test_file_in_the_projects_place_is_left_alone(layout: Layout, overwrite: bool) -> None:
    """A file is no project directory, and stays as it is."""
    layout.project_dir.parent.mkdir(parents=True)
    layout.project_dir.write_text("precious")

    with pytest.raises(ProjectError, match="mnist is a file, so it cannot be a project directory"):
        await open_project(layout, overwrite=overwrite)

    assert layout.project_dir.read_text() == "precious"


async def test_file_among_the_folders_is_told(tmp_path: Path) -> None:
    """A directory below a file cannot be made, and the sentence names it."""
    (tmp_path / "file").write_text("")
    layout = Layout(tmp_path / "file" / "below", "mnist")

    with pytest.raises(ProjectError, match=r"below/mnist cannot be used: .*Choose a directory="):
        await open_project(layout)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_directory_without_permission_is_told(layout: Layout) -> None:
    """Where nothing can be made, the sentence says so and what to do."""
    layout.project_dir.parent.mkdir(parents=True)
    layout.project_dir.parent.chmod(0o500)

    with pytest.raises(ProjectError, match=r"cannot be used: Permission denied\. Choose a dir"):
        await open_project(layout)


async def test_empty_directory_may_be_taken(layout: Layout) -> None:
    """A directory that the user made, or that an opening left unfinished, becomes a project."""
    layout.journal_dir.mkdir(parents=True)
    layout.lock_file.write_text("")

    assert await _run(layout) == []
    assert layout.segment(1).is_file()


async def test_closing_twice_is_harmless(layout: Layout) -> None:
    """The second close records nothing."""
    store: FileStore = await open_project(layout)
    await store.aclose()
    await store.aclose()

    assert await asyncio.to_thread(_read, layout) == [
        "ProjectCreated",
        "ProjectOpened",
        "ProjectClosed",
    ]


async def test_a_project_whose_first_segment_is_lost_is_no_foreign_directory(
    layout: Layout,
) -> None:
    """It is refused as damaged, whatever else it holds; and overwrite discards it."""
    await _run(layout, _FACT)
    (layout.project_dir / "oracle.json").write_text("{}")
    layout.segment(1).rename(layout.segment(2))

    with pytest.raises(JournalCorrupt, match=r"segment 000001\.jsonl in .* is missing"):
        await open_project(layout)
    assert await _run(layout, overwrite=True) == []


async def test_a_state_that_was_saved_before_the_search_is_no_foreign_file(layout: Layout) -> None:
    """A program may call ``tuner.save()`` first; its project is a new one all the same."""
    layout.project_dir.mkdir(mode=0o700, parents=True)
    state = layout.tuner_state("tuner0")
    state.write_text('{"seen": 1}')

    assert await _run(layout) == []
    assert state.read_text() == '{"seen": 1}'
