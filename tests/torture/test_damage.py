"""Journals cut, flipped and half written by a power loss: nothing synced is lost or changed in silence."""

from __future__ import annotations

import asyncio
import os
import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from aiotune.errors import JournalCorrupt
from aiotune.events import Event, SearchEnded
from aiotune.store._codec import BadLine, Envelope, decode_line, encode_line
from aiotune.store._journal import Journal
from aiotune.store._recovery import Recovered, recover
from aiotune.store._segment import SegmentBegan, begin, segment_name

_NEW = SearchEnded(reason="appended after the damage")


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the disk thousands of syncs: these tests make the damage themselves."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)


def _full(small: int, large: int) -> pytest.MarkDecorator:
    """Run a test with a small number always, and with a large one when torture is asked for."""
    return pytest.mark.parametrize(
        "number", [small, pytest.param(large, marks=pytest.mark.torture)]
    )


class _Folder:
    """A journal's folder, filled again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, segments: Sequence[bytes]) -> None:
        for file in self.path.iterdir():
            file.unlink()
        for number, data in enumerate(segments, 1):
            (self.path / f"{number:06d}.jsonl").write_bytes(data)

    def open(self) -> Recovered:
        return recover(self.path, repair=True)

    def torn(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.path.glob("torn-*.bin"))


async def _append(folder: _Folder, found: Recovered) -> None:
    journal = await asyncio.to_thread(Journal, folder.path, found)
    await journal.append((_NEW,))
    await journal.aclose()


def _lines(data: bytes) -> Iterator[tuple[int, Envelope, Event | None]]:
    """Yield where each line ends, its envelope and its event."""
    end = 0
    for line in data.splitlines(keepends=True):
        end += len(line)
        yield end, *decode_line(line)


def _events(segments: Sequence[bytes]) -> list[Event]:
    return [event for data in segments for _, _, event in _lines(data) if event is not None]


def _same(found: Sequence[Event], written: Sequence[Event]) -> bool:
    # repr: a NaN that was read twice is not equal to itself, but looks so.
    return repr(list(found)) == repr(list(written))


# ── cuts ───────────────────────────────────────────────────────────────────


@_full(150, 10**9)
def test_a_journal_cut_at_any_byte_opens_and_goes_on(
    tmp_path: Path, segments: list[bytes], figures: dict[str, Any], number: int
) -> None:
    """All whole records before the cut are there, what is torn is kept, and an append is read back."""
    folder = _Folder(tmp_path)
    cuts = [(i, n) for i, data in enumerate(segments) for n in range(len(data) + 1)]
    counts = {"cuts": 0, "unopenable": 0, "records_lost": 0, "bytes_lost": 0}
    figures |= counts

    async def cut(place: tuple[int, int]) -> None:
        index, size = place
        left = [*segments[:index], segments[index][:size]]
        whole = _events([*left[:-1], left[-1][: left[-1].rfind(b"\n") + 1]])
        folder.put(left)
        found = await asyncio.to_thread(folder.open)
        figures["records_lost"] += not _same(found.events, whole)
        figures["bytes_lost"] += left[-1][found.end :] != folder.torn()
        await _append(folder, found)
        again = await asyncio.to_thread(folder.open)
        figures["records_lost"] += not _same(again.events, [*whole, _NEW])

    async def cut_all() -> None:
        for place in cuts[:: max(1, len(cuts) // number)]:
            figures["cuts"] += 1
            try:
                await cut(place)
            except JournalCorrupt:
                figures["unopenable"] += 1

    asyncio.run(cut_all())

    assert len(segments) > 1
    assert figures == {**counts, "cuts": figures["cuts"]}
    assert figures["cuts"] >= min(number, len(cuts))


# ── flips ──────────────────────────────────────────────────────────────────


@_full(1_500, 20_000)
def test_a_flipped_bit_is_never_silent(
    tmp_path: Path, segments: list[bytes], figures: dict[str, Any], number: int
) -> None:
    """It is refused, or it is in the last batch, which is cut as if it were torn."""
    folder, rng = _Folder(tmp_path), random.Random(number)
    written = _events(segments)
    newest = max(envelope.b for _, envelope, _ in _lines(segments[-1]))
    synced = _events([*segments[:-1], segments[-1][:newest]])
    figures |= {"flips": number, "refused": 0, "cut_in_last_batch": 0, "no_change": 0, "silent": 0}
    sizes = [len(data) for data in segments]
    for _ in range(number):
        index = rng.choices(range(len(segments)), sizes)[0]
        damaged = bytearray(segments[index])
        bit = rng.randrange(len(damaged) * 8)
        damaged[bit // 8] ^= 1 << bit % 8
        folder.put([*segments[:index], bytes(damaged), *segments[index + 1 :]])
        try:
            found = recover(tmp_path, repair=False).events
        except JournalCorrupt:
            figures["refused"] += 1
            continue
        if _same(found, written):
            figures["no_change"] += 1
        elif _same(found, synced):
            figures["cut_in_last_batch"] += 1
        else:
            figures["silent"] += 1

    assert (figures["silent"], figures["no_change"]) == (0, 0)
    assert figures["refused"] > number * 0.9


# ── power loss ─────────────────────────────────────────────────────────────


class _Disk:
    """A journal of which the newest batch was being written when the power failed.

    Args:
        rng: Decides how the events form batches and segments.
        events: What is written.
    """

    def __init__(self, rng: random.Random, events: Sequence[Event]) -> None:
        self._rng = rng
        self._sealed: list[bytes] = []
        self._synced, self._unsynced, self._seq = b"", b"", 0
        self.synced_events: list[Event] = []
        self.events: list[Event] = []
        left = list(events)
        while left:
            self._sync()
            size = rng.choice((1, 1, 2, 5, 40))
            self._write(left[:size])
            left = left[size:]

    def _sync(self) -> None:
        self._synced, self._unsynced = self._synced + self._unsynced, b""
        self.synced_events = list(self.events)
        if self._synced and self._rng.random() < 0.2:
            self._sealed.append(self._synced)
            self._synced = b""

    def _write(self, batch: Sequence[Event]) -> None:
        if self._sealed and not self._synced:
            before = self._sealed[-1]
            said = SegmentBegan(segment_name(len(self._sealed)), len(before), zlib.crc32(before))
            self._unsynced += begin(said, seq=self._seq, at=1, since=1)
            self._seq += 1
        for event in batch:
            self._unsynced += encode_line(
                event, seq=self._seq, batch=len(self._synced), at=1, since=1
            )
            self._seq += 1
            self.events.append(event)

    def image(self, sector: int) -> list[bytes]:
        """Return what may be there after the power failed: any sectors of the newest batch."""
        rng, before = self._rng, len(self._synced)
        whole = self._synced + self._unsynced
        size = rng.choice((len(whole), rng.randint(before, len(whole))))
        found = bytearray(size)
        found[:before] = self._synced
        for start in range(before - before % sector, size, sector):
            if rng.random() < rng.choice((0.2, 0.5, 0.9)):
                begins, ends = max(start, before), min(start + sector, size)
                found[begins:ends] = whole[begins:ends]
        return [*self._sealed, bytes(found)]


@_full(400, 5_000)
def test_a_power_loss_costs_nothing_that_was_synced(
    tmp_path: Path, segments: list[bytes], figures: dict[str, Any], number: int
) -> None:
    """Whatever sectors arrived, in whatever order, the journal opens with every synced batch and goes on."""
    folder, rng = _Folder(tmp_path), random.Random(number)
    story = _events(segments[:1])
    figures |= {"images": number, "segments": 0, "torn": 0, "silent": 0, "refused": 0, "lost": 0}

    async def lose_power(sector: int) -> None:
        disk = _Disk(rng, rng.choices(story, k=rng.randint(1, 60)))
        folder.put(disk.image(sector))
        found = await asyncio.to_thread(folder.open)
        figures["segments"] += found.segment
        figures["torn"] += found.cut > 0
        figures["silent"] += not _same(found.events, disk.events[: len(found.events)])
        figures["lost"] += len(found.events) < len(disk.synced_events)
        await _append(folder, found)
        again = await asyncio.to_thread(folder.open)
        figures["lost"] += not _same(again.events, [*found.events, _NEW])

    async def lose_all() -> None:
        for turn in range(number):
            try:
                await lose_power((512, 4096)[turn % 2])
            except JournalCorrupt:
                figures["refused"] += 1

    asyncio.run(lose_all())

    assert (figures["silent"], figures["refused"], figures["lost"]) == (0, 0, 0)
    assert figures["torn"] > number // 10
    assert figures["segments"] > number


def test_the_tests_own_damage_is_damage(segments: list[bytes]) -> None:
    """A flipped line is no line, so the counts above count something."""
    line = segments[0].splitlines(keepends=True)[0]
    with pytest.raises(BadLine):
        decode_line(line[:20] + bytes([line[20] ^ 4]) + line[21:])
    assert int(line[:8], 16) == zlib.crc32(line[9:-1])
