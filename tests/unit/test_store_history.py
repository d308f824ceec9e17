"""The history of a project that was opened is read again, and is not kept."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from aiotune.errors import JournalCorrupt
from aiotune.events import Event, MetricsReported, TrialRequeued
from aiotune.store import Layout, open_project
from aiotune.store._history import History
from aiotune.store._journal import Journal
from aiotune.store._recovery import Recovered, recover
from aiotune.store._snapshot import read_snapshot, write_snapshot

FACTS: list[Event] = [TrialRequeued(trial_id=f"{i:04d}", reason="lost", lost=i) for i in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a journal of several segments."""
    journal = Journal(tmp_path, recover(tmp_path, repair=True), segment_bytes=1500)

    async def write() -> None:
        for fact in FACTS:
            await journal.append([fact])
        await journal.aclose()

    asyncio.run(write())
    return tmp_path


def unkept(folder: Path) -> Recovered:
    return recover(folder, repair=True, keep=False)


def test_what_is_not_kept_is_the_same(folder: Path) -> None:
    """Read line by line, or from snapshots, it is what is read when all is kept."""
    from_lines, from_snapshots = unkept(folder), unkept(folder)

    assert isinstance(from_lines.events, History)
    assert (from_lines.parsed, from_snapshots.parsed) == (from_lines.segment, 1)
    assert list(from_lines.events) == list(from_snapshots.events) == FACTS
    assert (len(from_lines.events), from_lines.events[3]) == (60, FACTS[3])
    whole = recover(folder, repair=False)
    for name in ("next_seq", "segment", "end", "cut", "crc", "began_after"):
        assert getattr(from_lines, name) == getattr(whole, name)


def test_what_is_appended_later_is_no_history(folder: Path) -> None:
    """The last segment grows while the project is held."""
    found = unkept(folder)
    journal = Journal(folder, found)

    async def more() -> None:
        await journal.append([FACTS[0]])
        await journal.aclose()

    asyncio.run(more())

    assert list(found.events) == FACTS


def test_a_segment_that_changes_meanwhile_is_refused(folder: Path) -> None:
    """It is read a second time, and must be what was checked the first time."""
    found = unkept(folder)
    path = sorted(folder.glob("*.jsonl"))[1]
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"lost"', b'"last"', 1))

    with pytest.raises(JournalCorrupt, match="was changed while"):
        list(found.events)


def test_a_snapshot_that_holds_no_events_is_none(folder: Path) -> None:
    """Its checksum may be right, and its second event none: the segment itself has the rest."""
    found = unkept(folder)
    path = min(folder.glob("*.jsonl"))
    part = found.events._parts[0]  # type: ignore[attr-defined]
    data = path.read_bytes()
    events, end = read_snapshot(path, data, part.crc, 0) or ([], 0)
    broken = [msgspec.to_builtins(event) for event in events]
    broken[1] = {"type": "NoSuchEvent"}
    assert write_snapshot(path, data, part.crc, 0, end, broken)

    assert list(found.events) == FACTS


def test_an_open_project_keeps_no_history(tmp_path: Path) -> None:
    """A hundred reports of a trial leave a trace of some bytes each with whoever holds the project."""
    layout = Layout(tmp_path, "large")
    reports = [
        MetricsReported(trial_id="0", attempt=1, step=step, metrics={"loss": step + 0.5})
        for step in range(4000)
    ]

    async def fill() -> None:
        store = await open_project(layout)
        await store.append(*reports)
        await store.aclose()

    async def look() -> int:
        gc.collect()
        tracemalloc.start()
        store = await open_project(layout)
        seen = await asyncio.to_thread(lambda: sum(1 for _ in store.history()))
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await store.aclose()
        assert seen > len(reports)
        return kept

    asyncio.run(fill())

    assert asyncio.run(look()) < 20 * len(reports)
