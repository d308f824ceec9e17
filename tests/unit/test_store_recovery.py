"""A journal after a crash, a power loss, or damage: nothing acknowledged is lost in silence."""

from __future__ import annotations

import asyncio
import os
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from aiotune.errors import JournalCorrupt
from aiotune.events import Event, TrialRequeued
from aiotune.store._codec import encode_line
from aiotune.store._journal import Journal
from aiotune.store._recovery import Recovered, recover

_BATCHES = (1, 5, 2, 9, 1, 4, 7, 1)


def _fact(number: int) -> Event:
    return TrialRequeued(trial_id=f"{number:04d}", reason="lost")


_NEW = _fact(9_999)
_PARTS = 10
"""Of a test that looks at every byte."""


@dataclass(frozen=True)
class _Written:
    """A segment: its bytes, its events, and where its batches begin."""

    data: bytes
    events: list[Event]
    starts: list[int]

    def before(self, offset: int) -> int:
        """Return how many records end at or before an offset."""
        return self.data[:offset].count(b"\n")


def _written(batches: Sequence[int] = _BATCHES, *, first: int = 0) -> _Written:
    data, events, starts = b"", list[Event](), list[int]()
    for size in batches:
        starts.append(len(data))
        for _ in range(size):
            seq = first + len(events)
            events.append(_fact(seq))
            data += encode_line(events[-1], seq=seq, batch=starts[-1], at=1, since=1)
    return _Written(data, events, starts)


_WHOLE = _written()


def _put(folder: Path, data: bytes, number: int = 1) -> Path:
    path = folder / f"{number:06d}.jsonl"
    # Truncating a file and writing it again makes ext4 wait for the disk, thousands of times.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _append(folder: Path, recovered: Recovered, event: Event) -> None:
    journal = Journal(folder, recovered)

    async def append() -> None:
        await journal.append((event,))
        await journal.aclose()

    asyncio.run(append())


def _sync_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare thousands of repairs the disk's time: the tests damage the bytes themselves."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)


def _torn(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("torn-*.bin"))]


def test_writer_makes_the_bytes_that_these_tests_damage(tmp_path: Path) -> None:
    """The journal writes records as the tests do, but for the times."""
    journal = Journal(tmp_path, Recovered([], 0, 1, 0, 0))

    async def write() -> None:
        for start, size in zip(range(3), (2, 1, 3), strict=True):
            await journal.append([_fact(start * 3 + i) for i in range(size)])
        await journal.aclose()

    asyncio.run(write())
    lines = (tmp_path / "000001.jsonl").read_bytes().splitlines(keepends=True)
    starts = [0, 0, len(b"".join(lines[:2])), *[len(b"".join(lines[:3]))] * 3]

    assert [
        b'"seq":%d,"b":%d,' % pair in line
        for pair, line in zip(enumerate(starts), lines, strict=True)
    ] == [True] * 6


def test_empty_folder_is_a_new_journal(tmp_path: Path) -> None:
    """Without a segment the first record is number 0 of segment 1."""
    assert recover(tmp_path, repair=True) == Recovered([], 0, 1, 0, 0)


def test_whole_journal_is_untouched(tmp_path: Path) -> None:
    """All events are read, and the file stays as it is."""
    path = _put(tmp_path, _WHOLE.data)

    found = recover(tmp_path, repair=True)

    records, size, crc = len(_WHOLE.events), len(_WHOLE.data), zlib.crc32(_WHOLE.data)
    assert found == Recovered(_WHOLE.events, records, 1, size, 0, crc)
    assert path.read_bytes() == _WHOLE.data
    assert _torn(tmp_path) == []


@pytest.mark.parametrize("part", range(_PARTS))
def test_journal_cut_at_any_byte_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """Cut anywhere, it opens with the whole records, keeps the torn bytes, and takes the next record."""
    _sync_nothing(monkeypatch)

    def cut(size: int) -> None:
        path = _put(tmp_path, _WHOLE.data[:size])
        whole = _WHOLE.events[: _WHOLE.before(size)]
        found = recover(tmp_path, repair=True)
        torn = _WHOLE.data[found.end : size]

        assert (found.events, found.next_seq, found.cut) == (whole, len(whole), len(torn))
        assert path.read_bytes() == _WHOLE.data[: found.end]
        assert _torn(tmp_path) == ([torn] if torn else [])

        _append(tmp_path, found, _NEW)
        again = recover(tmp_path, repair=True)

        assert (again.events, again.cut) == ([*whole, _NEW], 0)

    for size in range(part, len(_WHOLE.data) + 1, _PARTS):
        cut(size)
        for file in tmp_path.iterdir():
            file.unlink()


def test_reader_leaves_a_torn_tail_out_and_in_place(tmp_path: Path) -> None:
    """Without the lock nothing is changed: the tail may be a record that is being written."""
    path = _put(tmp_path, _WHOLE.data[:-5])

    found = recover(tmp_path, repair=False)

    assert found.events == _WHOLE.events[:-1]
    assert path.read_bytes() == _WHOLE.data[:-5]
    assert _torn(tmp_path) == []


def test_two_tails_torn_in_one_second_are_both_kept(tmp_path: Path) -> None:
    """A second repair at the same record does not overwrite what the first one kept."""
    for tail in (b"first", b"second"):
        _put(tmp_path, _WHOLE.data + tail)
        recover(tmp_path, repair=True)

    assert sorted(_torn(tmp_path)) == [b"first", b"second"]


def test_bit_flip_is_never_silent(tmp_path: Path) -> None:
    """A flipped bit is refused, or costs a part of the last batch, or changes no event."""
    rng = random.Random(11)
    last = _WHOLE.before(_WHOLE.starts[-1])
    outcomes = {"refused": 0, "cut": 0, "same": 0}
    for _ in range(2_000):
        bit = rng.randrange(len(_WHOLE.data) * 8)
        flipped = bytearray(_WHOLE.data)
        flipped[bit // 8] ^= 1 << bit % 8
        _put(tmp_path, bytes(flipped))
        try:
            found = recover(tmp_path, repair=False).events
        except JournalCorrupt:
            outcomes["refused"] += 1
            continue
        outcomes["same" if found == _WHOLE.events else "cut"] += 1
        assert found == _WHOLE.events[: len(found)]
        assert len(found) >= last, f"bit {bit} cost more than the last batch"

    assert outcomes["refused"] > 1_500
    assert outcomes["cut"] > 10


def test_flip_of_any_newline_is_seen(tmp_path: Path) -> None:
    """Two records melted into one cannot take the batch before the last one with them."""
    data = _written((3, 2, 1, 1)).data
    ends = [i for i, byte in enumerate(data) if byte == 0x0A]
    for end in ends[:-1]:
        _put(tmp_path, data[:end] + b"\x0b" + data[end + 1 :])

        with pytest.raises(JournalCorrupt):
            recover(tmp_path, repair=True)


def _power_loss(rng: random.Random, written: _Written, synced: int) -> bytes:
    """Return what may be on the disk if the power fails before a batch was synced."""
    image = bytearray(written.data)
    for sector in range(synced // 512, len(image) // 512 + 1):
        if rng.random() < 0.5:
            begin, end = max(synced, sector * 512), min(len(image), (sector + 1) * 512)
            image[begin:end] = bytes(max(0, end - begin))
    return bytes(image[: rng.randint(synced, len(image))])


def test_power_loss_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Whatever sectors of the unsynced batch arrived, the journal opens with all batches before it."""
    rng = random.Random(5)
    for _ in range(400):
        written = _written(
            [rng.randint(1, 6) for _ in range(rng.randint(0, 6))] + [rng.randint(1, 40)]
        )
        synced = written.starts[-1]
        _put(tmp_path, _power_loss(rng, written, synced))

        found = recover(tmp_path, repair=False).events

        assert len(found) >= written.before(synced)
        assert found == written.events[: len(found)]


def test_repaired_power_loss_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is appended after the repair of such an image is read back."""
    _sync_nothing(monkeypatch)
    rng = random.Random(6)
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        written = _written((2, 3, 30))
        _put(folder, _power_loss(rng, written, written.starts[-1]))

        first = recover(folder, repair=True)
        _append(folder, first, _NEW)

        assert recover(folder, repair=True).events == [*first.events, _NEW]


def _drop(data: bytes, number: int) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:number] + lines[number + 1 :])


def _repeat(data: bytes, number: int) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[: number + 1] + lines[number:])


@pytest.mark.parametrize("damage", [_drop, _repeat])
@pytest.mark.parametrize("number", [0, 1, 7, 28])
def test_record_out_of_sequence_is_damage(
    tmp_path: Path, damage: Callable[[bytes, int], bytes], number: int
) -> None:
    """A line that is missing or twice there is refused, although each line is whole."""
    path = _put(tmp_path, damage(_WHOLE.data, number))
    before = path.read_bytes()

    with pytest.raises(JournalCorrupt, match=r"damaged at byte \d+ of \d+") as caught:
        recover(tmp_path, repair=True)

    assert path.read_bytes() == before
    assert caught.value.fields["path"] == str(path)


def test_damage_names_its_place(tmp_path: Path) -> None:
    """The sentence has the file, the byte and the number of whole records before it."""
    lines = _WHOLE.data.splitlines(keepends=True)
    offset = len(b"".join(lines[:8]))
    path = _put(tmp_path, _WHOLE.data[: offset + 20] + b"#" + _WHOLE.data[offset + 21 :])

    with pytest.raises(JournalCorrupt) as caught:
        recover(tmp_path, repair=True)

    assert f"{path} is damaged at byte {offset} of {len(_WHOLE.data)}" in str(caught.value)
    assert "8 records before it are whole. Nothing was changed. See what can be saved" in str(
        caught.value
    )
    assert caught.value.fields["offset"] == offset
    assert _torn(tmp_path) == []


def test_segments_are_read_in_order(tmp_path: Path) -> None:
    """Numbers go on over segments, and the last one is where to append."""
    second = _written((2, 1), first=len(_WHOLE.events))
    _put(tmp_path, _WHOLE.data)
    _put(tmp_path, second.data, 2)

    found = recover(tmp_path, repair=True)

    assert found.events == _WHOLE.events + second.events
    assert (found.segment, found.end, found.next_seq) == (2, len(second.data), len(found.events))


def test_last_segment_may_be_empty(tmp_path: Path) -> None:
    """A crash right after a new segment was begun is not damage."""
    _put(tmp_path, _WHOLE.data)
    _put(tmp_path, b"", 2)

    found = recover(tmp_path, repair=True)

    assert (found.segment, found.end, found.next_seq) == (2, 0, len(_WHOLE.events))


@pytest.mark.parametrize("kept", [-1, 0, 40])
def test_sealed_segment_cannot_be_torn(tmp_path: Path, kept: int) -> None:
    """A bad end is repaired in the last segment only: all others were synced whole."""
    _put(tmp_path, _WHOLE.data[:kept])
    _put(tmp_path, _written((2,), first=len(_WHOLE.events)).data, 2)

    with pytest.raises(JournalCorrupt):
        recover(tmp_path, repair=True)

    assert _torn(tmp_path) == []


@pytest.mark.parametrize("present", [(2,), (1, 3), (2, 3)], ids=str)
def test_missing_segment_is_damage(tmp_path: Path, present: Sequence[int]) -> None:
    """Segments that do not count 1, 2, 3, ... are refused, and nothing is cut."""
    segments = [_written((2,), first=first).data for first in (0, 2, 4)]
    for number in present:
        _put(tmp_path, segments[number - 1], number)
    missing = next(n for n in (1, 2) if n not in present)

    with pytest.raises(JournalCorrupt, match=rf"segment {missing:06d}.jsonl .*missing"):
        recover(tmp_path, repair=True)

    assert _torn(tmp_path) == []


def test_other_files_beside_the_segments_are_ignored(tmp_path: Path) -> None:
    """A copy that somebody put there is not a segment."""
    _put(tmp_path, _WHOLE.data)
    (tmp_path / "000001.jsonl.bak").write_bytes(b"x")
    (tmp_path / "1-copy.jsonl").write_bytes(_WHOLE.data)

    assert recover(tmp_path, repair=True).events == _WHOLE.events


def test_bytes_that_were_cut_off_are_as_private_as_the_journal(tmp_path: Path) -> None:
    """Whatever the umask: they may hold what the journal holds."""
    _put(tmp_path, _WHOLE.data[:-3])
    before = os.umask(0)
    try:
        recover(tmp_path, repair=True)
    finally:
        os.umask(before)
    (torn,) = tmp_path.glob("torn-*.bin")

    assert torn.stat().st_mode & 0o777 == 0o600
