"""Snapshots of sealed segments: faster, never believed more than the journal, made again at will."""

from __future__ import annotations

import asyncio
import gc
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aiotune.errors import JournalCorrupt
from aiotune.events import Event, MetricsReported, SpaceGrew, TrialRequeued
from aiotune.store import _snapshot as snapshot_module
from aiotune.store._collector import collector_paused
from aiotune.store._journal import Journal
from aiotune.store._recovery import Recovered, recover
from aiotune.testing._stores import story


def _write(folder: Path, events: list[Event]) -> None:
    journal = Journal(folder, recover(folder, repair=True), segment_bytes=1_500)

    async def write() -> None:
        for event in events:
            await journal.append((event,))
        await journal.aclose()

    asyncio.run(write())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a journal of several segments with every type of event."""
    _write(tmp_path, story() * 3)
    return tmp_path


def _open(folder: Path) -> Recovered:
    return recover(folder, repair=True)


def _shown(found: Recovered) -> tuple[object, ...]:
    return repr(found.events), found.next_seq, found.segment, found.end, found.crc


def test_second_opening_parses_the_last_segment_alone(folder: Path) -> None:
    """The first one writes a snapshot of each sealed segment, and both find the same."""
    first = _open(folder)
    second = _open(folder)

    assert first.segment > 2
    assert (first.parsed, second.parsed) == (first.segment, 1)
    assert _shown(first) == _shown(second)
    assert repr(second.events) == repr(story() * 3)


def test_reader_uses_snapshots_and_writes_none(folder: Path) -> None:
    """Who does not hold the project changes nothing in it."""
    unread = recover(folder, repair=False)
    there = sorted(folder.glob("*.snapshot"))
    _open(folder)

    assert (there, unread.parsed) == ([], unread.segment)
    assert recover(folder, repair=False).parsed == 1


def test_snapshot_is_private(folder: Path) -> None:
    """Like the journal, it is nobody else's business."""
    _open(folder)

    assert {p.stat().st_mode & 0o777 for p in folder.glob("*.snapshot")} == {0o600}


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _swap(path: Path) -> None:
    path.write_bytes((path.parent / "000002.snapshot").read_bytes())


def _other_form(path: Path) -> None:
    path.write_bytes(b"not a snapshot")


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: _flip(path, 0),
        lambda path: _flip(path, 60),
        lambda path: _flip(path, -1),
        _swap,
        _other_form,
    ],
    ids=[
        "empty",
        "torn",
        "flip in its checksum",
        "flip",
        "flip at its end",
        "another's",
        "foreign",
    ],
)
def test_damaged_snapshot_is_ignored_and_made_again(
    folder: Path, harm: Callable[[Path], None]
) -> None:
    """Nothing that is wrong with a snapshot is an error, or changes what is read."""
    expected = _shown(_open(folder))
    harm(folder / "000001.snapshot")
    after = _open(folder)

    assert (_shown(after), after.parsed) == (expected, 2)
    assert _open(folder).parsed == 1


def test_snapshot_never_hides_damage_of_its_segment(folder: Path) -> None:
    """A segment that was damaged after its snapshot was made is refused all the same."""
    _open(folder)
    _flip(folder / "000001.jsonl", 300)

    with pytest.raises(JournalCorrupt, match=r"000001.jsonl is damaged at byte"):
        _open(folder)


def test_snapshot_of_other_events_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version whose events have another field reads the journal, where the field is."""
    _open(folder)
    monkeypatch.setattr(snapshot_module, "_form", lambda: 1)

    assert _open(folder).parsed > 2
    assert _open(folder).parsed == 1


def test_events_that_only_json_can_hold_have_no_snapshot(tmp_path: Path) -> None:
    """An integer of more than 64 bits is read from the journal each time."""
    grew = SpaceGrew(entries=[{"config": {"max": 2**70}}])
    _write(tmp_path, [grew, *(TrialRequeued(trial_id="x" * 900, reason="") for _ in range(3))])
    expected = _shown(_open(tmp_path))

    assert _shown(_open(tmp_path)) == expected
    assert not (tmp_path / "000001.snapshot").exists()
    assert list(tmp_path.glob(".partial*")) == []


def test_snapshot_keeps_what_json_cannot_write(tmp_path: Path) -> None:
    """NaN and infinities, which the journal marks, come back from a snapshot as they were."""
    odd = MetricsReported(
        trial_id="0", attempt=1, step=0, metrics={"a": math.nan, "b": -math.inf, "c": -0.0}
    )
    _write(tmp_path, [odd] * 30)
    _open(tmp_path)

    found = _open(tmp_path)

    assert found.parsed == 1
    assert repr(found.events) == repr([odd] * 30)


def test_folder_that_cannot_be_written_needs_no_snapshot(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening does not fail for want of space for a snapshot."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)

    assert repr(_open(folder).events) == repr(story() * 3)
    assert list(folder.glob("*.snapshot")) == []
    assert list(folder.glob(".partial*")) == []


def test_collector_is_as_it_was_after_the_last_reader() -> None:
    """Several may read at once; it stays off if the program had it off."""
    seen = [gc.isenabled()]
    with collector_paused():
        with collector_paused():
            seen.append(gc.isenabled())
        seen.append(gc.isenabled())
    seen.append(gc.isenabled())
    gc.disable()
    try:
        with collector_paused():
            pass
        seen.append(gc.isenabled())
    finally:
        gc.enable()

    assert seen == [True, False, False, True, False]
