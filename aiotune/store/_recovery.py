"""Reads the journal, tells a torn tail from damage, and repairs the first."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiotune.errors import JournalCorrupt
from aiotune.events import Event
from aiotune.store._codec import BadLine, Envelope, decode_line

__all__ = ("Recovered", "recover", "sync_directory")

_SEGMENTS = "[0-9]" * 6 + ".jsonl"
_START = re.compile(rb'[0-9a-f]{8} \{"v":')


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal holds.

    Attributes:
        events: All whole records, in order.
        next_seq: Number of the next record.
        segment: Number of the last segment; 1 if there is none yet.
        end: Size of the last segment, after a repair.
        cut: How many bytes of a torn tail were cut off.
    """

    events: list[Event]
    next_seq: int
    segment: int
    end: int
    cut: int


def recover(journal_dir: Path, *, repair: bool) -> Recovered:
    """Read all segments; cut a torn tail off the last one, keeping the bytes.

    Batch N is written only after batch N - 1 was synced. So a good record that
    says "my batch starts at b" proves that everything before b had reached the
    disk. If the first bad line lies before that, synced data is damaged, and
    nothing is guessed. Otherwise the bad line belongs to the last batch, which
    nobody was told of, and is cut. A whole record with a wrong number is damage
    wherever it is: no crash removes or repeats a line.

    Args:
        journal_dir: Where the segments are.
        repair: Whether to cut; a reader without the lock only leaves the tail out.

    Raises:
        JournalCorrupt: Synced records are damaged.
    """
    paths = sorted(journal_dir.glob(_SEGMENTS))
    _check_complete(paths)
    events: list[Event] = []
    seq, cut, end = 0, 0, 0
    for path in paths:
        data = path.read_bytes()
        good_events, seq, end = _read(data, seq)
        events += good_events
        if end == len(data):
            continue
        torn = path is paths[-1] and not _is_whole(data, end)
        if not torn or _newest_batch(data, end) > end:
            raise JournalCorrupt(
                f"The journal {path} is damaged at byte {end} of {len(data)}, in records that had "
                f"reached the disk; {len(events)} records before it are whole. Nothing was changed.",
                hint="Restore the file from a copy, or start another project.",
                path=str(path),
                offset=end,
            )
        cut = len(data) - end
        if repair:
            _cut(path, data, end, seq)
    return Recovered(events, seq, max(1, len(paths)), end, cut)


def _read(data: bytes, seq: int) -> tuple[list[Event], int, int]:
    """Return the events of the leading good lines, the next number and where they end."""
    events: list[Event] = []
    start = 0
    while True:
        stop = data.find(b"\n", start) + 1
        if stop == 0:
            return events, seq, start
        try:
            envelope, event = decode_line(data[start:stop])
        except BadLine:
            return events, seq, start
        if envelope.seq != seq:
            return events, seq, start
        if event is not None:
            events.append(event)
        seq += 1
        start = stop


def _check_complete(paths: Sequence[Path]) -> None:
    for number, path in enumerate(paths, 1):
        expected = path.with_name(f"{number:06d}.jsonl")
        if path != expected:
            raise JournalCorrupt(
                f"The journal's segment {expected.name} in {path.parent} is missing, although {path.name} "
                "is there. Nothing was changed.",
                hint="Restore the file from a copy, or start another project.",
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
    for match in _START.finditer(data, first_bad + 1):
        stop = data.find(b"\n", match.start()) + 1
        envelope = _good(data[match.start() : stop])
        if envelope is not None:
            newest = max(newest, envelope.b)
    return newest


def _good(line: bytes) -> Envelope | None:
    try:
        return decode_line(line)[0]
    except BadLine:
        return None


def _cut(path: Path, data: bytes, end: int, seq: int) -> None:
    kept = _unused(path.parent, f"torn-{seq}-{int(time.time())}")
    with kept.open("xb") as file:
        file.write(data[end:])
        os.fsync(file.fileno())
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, end)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(path.parent)


def _unused(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}.bin", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.bin", number + 1
    return path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
