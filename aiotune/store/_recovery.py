"""Reads the journal, tells a torn tail from damage, and repairs the first."""

from __future__ import annotations

import math
import os
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiotune._disk import is_full, open_private, read_private, sync_folder, write_private
from aiotune.errors import JournalCorrupt
from aiotune.events import Event
from aiotune.store._codec import BadLine, Envelope, decode_line
from aiotune.store._collector import collector_paused
from aiotune.store._history import History, Part, read_records
from aiotune.store._segment import (
    SegmentBegan,
    began,
    check_previous,
    segment_name,
)
from aiotune.store._snapshot import sealed_events, sealed_in, write_snapshot

__all__ = ("Recovered", "record_starts", "recover", "segment_paths")

_SEGMENTS = "[0-9]" * 6 + ".jsonl"
_SMALL = 2000
"""As many events are kept rather than read again: some 1 MiB."""
_START = re.compile(rb'[0-9a-f]{8} \{"v":')


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal holds.

    Attributes:
        events: All whole records, in order; a :class:`History` if they were not to be kept.
        next_seq: Number of the next record.
        segment: Number of the last segment; 1 if there is none yet.
        end: Size of the last segment, after a repair.
        cut: How many bytes of a torn tail were cut off.
        crc: Checksum of the last segment up to its end.
        began_after: What the last segment has to say of the one before; ``None`` of the first one.
        parsed: How many segments were read record by record, for want of a snapshot.
    """

    events: Sequence[Event]
    next_seq: int
    segment: int
    end: int
    cut: int
    crc: int = 0
    began_after: SegmentBegan | None = None
    parsed: int = field(default=0, compare=False)


def recover(journal_dir: Path, *, repair: bool, keep: bool = True) -> Recovered:
    """Read all segments; cut a torn tail off the last one, keeping the bytes.

    Batch N is written only after batch N - 1 was synced. So a good record that
    says "my batch starts at b" proves that everything before b had reached the
    disk. If the first bad line lies before that, synced data is damaged, and
    nothing is guessed. Otherwise the bad line belongs to the last batch, which
    nobody was told of, and is cut. A whole record with a wrong number is damage
    wherever it is: no crash removes or repeats a line.

    Args:
        journal_dir: Where the segments are.
        repair: Whether to cut, and to write snapshots of what is sealed; a reader
            without the lock only leaves the tail out.
        keep: Whether to return all events at once; else many are read again when they are gone through.

    Raises:
        JournalCorrupt: Synced records are damaged.
    """
    paths = segment_paths(journal_dir)
    _check_complete(paths)
    with collector_paused():
        reading = _Reading(repair=repair, keep=keep)
        for path in paths:
            reading.take(path, last=path is paths[-1])
    return reading.found(max(1, len(paths)))


class _Reading:
    """Goes through the segments, one after the other."""

    def __init__(self, *, repair: bool, keep: bool) -> None:
        self._repair, self._keep = repair, keep
        self._events: list[Event] = []
        self._parts: list[Part] = []
        self._seq = self._end = self._cut = self._crc = self._parsed = 0
        self._before: tuple[Path, int, int] | None = None

    def found(self, segment: int) -> Recovered:
        """Return what was read, once all segments are."""
        return Recovered(
            self._events if self._keep or self._is_small() else History(self._parts),
            self._seq,
            segment,
            self._end,
            self._cut,
            self._crc,
            None if self._before is None else SegmentBegan(self._before[0].name, *self._before[1:]),
            self._parsed,
        )

    def _is_small(self) -> bool:
        return len(self._parts) < 2 and len(self._events) <= _SMALL  # noqa: PLR2004 - one segment, or none

    def take(self, path: Path, *, last: bool) -> None:
        """Read a segment."""
        data = read_private(path)
        crc = zlib.crc32(data)
        self._check_beginning(data)
        first = self._seq
        if not self._keep:
            self._events = []  # what was read before is read again
        sealed = None if last else sealed_in(path, data, crc, first)
        events = sealed_events(sealed) if sealed is not None and self._keep else []
        if sealed is not None and events is not None:
            self._events += events
            self._seq, self._end = sealed.end, len(data)
        else:
            crc = self._parse(path, data, crc, last=last)
        self._parts.append(Part(path, self._end, crc, first))
        self._crc = crc
        if not last:
            self._before = (path, len(data), crc)

    def _check_beginning(self, data: bytes) -> None:
        line = data[: data.find(b"\n") + 1]
        if self._before is None or _good(line) is None:
            return
        said = began(line)
        if said is not None:
            check_previous(said, *self._before)

    def _parse(self, path: Path, data: bytes, crc: int, *, last: bool) -> int:
        first, most = self._seq, _SMALL if last and not self._keep else math.inf
        events, self._seq, self._end = read_records(data, first, most)
        self._events += events
        self._parsed += 1
        if self._end < len(data):
            self._tear(path, data, last=last)
            return zlib.crc32(data[: self._end])
        if self._repair and last:
            _settle(path, data)
        elif self._repair:
            write_snapshot(path, data, crc, first, self._seq, events)
        return crc

    def _tear(self, path: Path, data: bytes, *, last: bool) -> None:
        """Cut a torn tail off; refuse if it is none."""
        end = self._end
        if not last or _is_whole(data, end) or _newest_batch(data, end) > end:
            raise JournalCorrupt(
                f"The journal {path} is damaged at byte {end} of {len(data)}, in records that had "
                f"reached the disk; {self._seq} records before it are whole. Nothing was changed.",
                hint=f"See what can be saved with `aiotune doctor {path.parent.parent}`, restore the file "
                "from a copy, or start another project.",
                path=str(path),
                offset=end,
            )
        self._cut = len(data) - end
        if self._repair:
            _cut(path, data, end, self._seq)


def segment_paths(journal_dir: Path) -> list[Path]:
    """Return the paths of the segments that are there, in order."""
    return sorted(journal_dir.glob(_SEGMENTS))


def _check_complete(paths: Sequence[Path]) -> None:
    for number, path in enumerate(paths, 1):
        expected = path.with_name(segment_name(number))
        if path != expected:
            raise JournalCorrupt(
                f"The journal's segment {expected.name} in {path.parent} is missing, although {path.name} "
                "is there. Nothing was changed.",
                hint=f"See what can be saved with `aiotune doctor {path.parent.parent}`, restore the file "
                "from a copy, or start another project.",
                path=str(expected),
                offset=0,
            )


def _is_whole(data: bytes, start: int) -> bool:
    stop = data.find(b"\n", start) + 1
    return _good(data[start:stop]) is not None


def _newest_batch(data: bytes, first_bad: int) -> int:
    """Return the largest batch offset that a good record after the first bad line names.

    Records are looked for anywhere, not only after newlines: a damaged newline
    melts two lines into one, and the second may be the only proof of the first.
    """
    newest = -1
    for start in record_starts(data, first_bad + 1):
        envelope = _good(data[start : data.find(b"\n", start) + 1])
        if envelope is not None:
            newest = max(newest, envelope.b)
    return newest


def record_starts(data: bytes, start: int) -> Iterator[int]:
    """Yield the offsets, from one on, at which bytes look like the beginning of a record."""
    return (match.start() for match in _START.finditer(data, start))


def _good(line: bytes) -> Envelope | None:
    try:
        return decode_line(line)[0]
    except BadLine:
        return None


def _cut(path: Path, data: bytes, end: int, seq: int) -> None:
    kept = _unused(path.parent, f"torn-{seq}-{int(time.time())}")
    write_private(kept, data[end:], durable=True)
    fd = open_private(path, os.O_WRONLY)
    try:
        os.ftruncate(fd, end)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(path.parent)


def _settle(path: Path, data: bytes) -> None:
    """Make what was read of the last segment durable, since what follows will take it for that.

    A program that was killed before its sync, or whose sync failed, has left a
    batch that can be read and is not on the disk. A sync alone would not do: after one that
    failed, the kernel takes the pages for clean. So the batch is written once more.
    """
    last = _good(data[data.rfind(b"\n", 0, len(data) - 1) + 1 :])
    if last is None:
        return  # there is no record yet
    fd = open_private(path, os.O_WRONLY)
    try:
        try:
            os.pwrite(fd, data[last.b :], last.b)
        except OSError as error:
            if not is_full(error):  # some file systems need space even to write the same again
                raise
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _unused(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}.bin", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.bin", number + 1
    return path
