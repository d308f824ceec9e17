"""A disk that fails at its N-th call, whichever that is, and journals that are damaged anywhere and repaired."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from aiotune.errors import JournalCorrupt, StorageError
from aiotune.events import Event, TrialEnded, TrialRequeued
from aiotune.store import Layout, open_project, read_events
from aiotune.store import _space as space_module
from aiotune.store._codec import decode_line
from aiotune.store._doctor import diagnose, repair
from aiotune.store._journal import Journal
from aiotune.store._recovery import record_starts, recover
from aiotune.store._segment import SegmentFile

_COMMITS = 12


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests the disk's time and the time until a full disk is tried again."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)
    monkeypatch.setattr(space_module, "_FIRST", 0.0001)
    monkeypatch.setattr(space_module, "_LONGEST", 0.0001)


# ── the N-th call ──────────────────────────────────────────────────────────


class _Disk:
    """Fails from its N-th call on, so many times; a write that fails has written a part."""

    def __init__(self, at: int, times: int, code: int, part: float) -> None:
        self.calls, self._failing = 0, range(at, at + times)
        self._code, self._part = code, part

    def open(self, path: Path) -> _File:
        self.call()
        return _File(path, self)

    def call(self, before: Callable[[float], object] = lambda part: None) -> None:
        self.calls += 1
        if self.calls in self._failing:
            before(self._part)
            raise OSError(self._code, os.strerror(self._code))


class _File(SegmentFile):
    def __init__(self, path: Path, disk: _Disk) -> None:
        super().__init__(path)
        self._disk = disk

    def append(self, data: bytes) -> None:
        write = super().append
        self._disk.call(lambda part: write(data[: int(len(data) * part)]))
        write(data)

    def sync(self) -> None:
        self._disk.call()
        super().sync()

    def cut(self, size: int) -> None:
        self._disk.call()
        super().cut(size)


def _fact(number: int) -> Event:
    return TrialRequeued(trial_id=f"{number:04d}", reason="lost")


async def _commit_all(folder: Path, disk: _Disk) -> int:
    """Commit one record after the other; return how many were acknowledged."""
    found = await asyncio.to_thread(recover, folder, repair=True)
    try:
        journal = await asyncio.to_thread(
            Journal, folder, found, segment_bytes=400, files=disk.open
        )
    except OSError:
        return 0
    done = 0
    try:
        for number in range(_COMMITS):
            await journal.append((_fact(number),))
            done += 1
    except StorageError:
        await journal.aclose()
        return done
    await journal.aclose()
    return done


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=lambda code: errno.errorcode[code])
def test_whichever_call_fails_nothing_acknowledged_is_lost(
    tmp_path: Path, figures: dict[str, Any], code: int
) -> None:
    """Each call in turn fails, once and thrice, with nothing, a half or all of the bytes on the disk."""
    figures |= {"runs": 0, "failed": 0, "lost": 0, "half": 0, "unopenable": 0}

    def run(at: int, times: int, part: float) -> int:
        folder = tmp_path / f"{at}-{times}-{part}"
        folder.mkdir()
        disk = _Disk(at, times, code, part)
        done = asyncio.run(_commit_all(folder, disk))
        figures["runs"] += 1
        figures["failed"] += done < _COMMITS
        try:
            found = recover(folder, repair=True).events
        except JournalCorrupt:
            figures["unopenable"] += 1
            return disk.calls
        figures["lost"] += found[:done] != [_fact(i) for i in range(done)]
        figures["half"] += found[done:] not in ([], [_fact(done)])
        return disk.calls

    calls = run(10**9, 1, 0.0)
    for at in range(1, calls + 1):
        for times in (1, 3):
            for part in (0.0, 0.5, 1.0):
                run(at, times, part)

    assert figures["runs"] == calls * 6 + 1
    assert (figures["lost"], figures["half"], figures["unopenable"]) == (0, 0, 0)
    # Opening the first segment is not waited for: there is no search yet.
    assert figures["failed"] == (6 if code == errno.ENOSPC else figures["runs"] - 1)


# ── damage and repair ──────────────────────────────────────────────────────


def _flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _blank(rng: random.Random, data: bytes) -> bytes:
    at, size = rng.randrange(len(data)), rng.choice((1, 100, 512, 1500))
    return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]


def _shorten(rng: random.Random, data: bytes) -> bytes:
    at, size = rng.randrange(len(data)), rng.randrange(1, 600)
    return data[:at] + data[at + size :]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 300)) + data[at:]


def _shuffle(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def _whole_events(segments: Sequence[bytes]) -> list[Event]:
    """Return all events that are whole, by a way of its own: a line begins where one may begin."""
    found = []
    for data in segments:
        for start in record_starts(data, 0):
            try:
                event = decode_line(data[start : data.find(b"\n", start) + 1])[1]
            except Exception:  # noqa: BLE001 - a damaged line, of any kind
                continue
            if event is not None:
                found.append(event)
    return found


def _ends(events: Sequence[Event]) -> dict[str, str]:
    return {event.trial_id: repr(event) for event in events if isinstance(event, TrialEnded)}


@pytest.mark.parametrize("number", [60, pytest.param(2_000, marks=pytest.mark.torture)])
def test_whatever_is_damaged_is_repaired(
    tmp_path: Path, segments: list[bytes], figures: dict[str, Any], number: int
) -> None:
    """After a repair the project opens, and every end of a trial that is whole somewhere is in it.

    Only where all that follows the newest batch is destroyed, that batch looks as it
    does when the power fails before it was synced, and is left to be cut off.
    """
    rng, layout = random.Random(number), Layout(tmp_path, "p")
    figures |= {"damaged": number, "refused": 0, "like_a_crash": 0}
    figures |= {"unrepaired": 0, "ends_lost": 0, "ends_changed": 0}
    written = _ends(_whole_events(segments))
    for _ in range(number):
        damaged = list(segments)
        for _ in range(rng.randint(1, 3)):
            harm = rng.choice((_flip, _blank, _shorten, _insert, _shuffle))
            place = rng.randrange(len(damaged))
            damaged[place] = harm(rng, damaged[place]) if damaged[place] else b""
        shutil.rmtree(layout.project_dir, ignore_errors=True)
        layout.journal_dir.mkdir(parents=True)
        for index, data in enumerate(damaged, 1):
            if rng.random() < 0.95:
                layout.segment(index).write_bytes(data)
        there = [path.read_bytes() for path in sorted(layout.journal_dir.iterdir())]
        diagnosis, _ = repair(layout)
        figures["refused"] += not diagnosis.whole
        figures["like_a_crash"] += diagnosis.unfinished > 0
        figures["unrepaired"] += not diagnose(layout).whole
        kept = _ends(read_events(layout))
        if not diagnosis.unfinished:
            figures["ends_lost"] += len(_ends(_whole_events(there)).keys() - kept.keys())
        figures["ends_changed"] += sum(written[trial] != end for trial, end in kept.items())

    assert figures["refused"] > number * 0.8
    assert figures["like_a_crash"] < number * 0.1
    bad = ("unrepaired", "ends_lost", "ends_changed")
    assert {name: figures[name] for name in bad} == dict.fromkeys(bad, 0)


async def test_repaired_project_is_opened_by_a_search(
    tmp_path: Path, segments: list[bytes]
) -> None:
    """The journal that a repair wrote takes the next record, and is read back with it."""
    layout = Layout(tmp_path, "p")
    layout.journal_dir.mkdir(parents=True)
    for index, data in enumerate(segments, 1):
        layout.segment(index).write_bytes(_blank(random.Random(index), data))
    await asyncio.to_thread(repair, layout)
    store = await open_project(layout)
    await store.append(_fact(1))
    await store.aclose()

    assert _fact(1) in await asyncio.to_thread(read_events, layout)
