"""The events of a journal as it was opened, read again for whoever goes through them.

A history is gone through once, to be folded. As objects it takes ten times the memory of what
it folds into, and a project that is held would hold it. So a record is read when it is its turn.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, overload

import msgspec

from aiotune._disk import read_private
from aiotune.errors import JournalCorrupt, ProjectError
from aiotune.events import Event
from aiotune.store._codec import BadLine, decode_line
from aiotune.store._snapshot import sealed_in, sealed_one_by_one

__all__ = ("History", "Part", "read_records")


@dataclass(frozen=True, slots=True)
class Part:
    """A segment, whole records of which were found.

    Attributes:
        path: Where it is.
        length: How many of its bytes they are; more may be appended.
        crc: Checksum of these.
        first: Number of the first record.
    """

    path: Path
    length: int
    crc: int
    first: int

    def events(self) -> Iterator[Event]:
        """Read them, one after the other.

        Raises:
            JournalCorrupt: They are others now.
            ProjectError: They cannot be read.
        """
        try:
            data = read_private(self.path)[: self.length]
        except OSError as error:
            raise ProjectError(
                f"The journal's segment {self.path} cannot be read: {error.strerror or error}."
            ) from error
        if zlib.crc32(data) != self.crc:
            raise JournalCorrupt(
                f"The journal's segment {self.path} was changed while the project was being opened: its first "
                f"{self.length} bytes had the checksum {self.crc:08x}. Close what writes to it.",
                path=str(self.path),
                offset=0,
            )
        sealed, read = sealed_in(self.path, data, self.crc, self.first), 0
        if sealed is not None:
            try:
                for event in sealed_one_by_one(sealed):
                    yield event
                    read += 1
            except msgspec.MsgspecError:
                sealed = None  # no snapshot of ours, whatever its checksum says
        if sealed is None:
            yield from islice(_records(data), read, None)


class History(Sequence[Event]):
    """All events of some segments; each iteration reads them from the disk.

    Args:
        parts: The segments, in order.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)

    def __iter__(self) -> Iterator[Event]:
        return chain.from_iterable(part.events() for part in self._parts)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...

    def __getitem__(self, index: Any) -> Any:
        return [*self][index]


def _records(data: bytes) -> Iterator[Event]:
    """Yield the events of lines that were found to be good."""
    start = 0
    while stop := data.find(b"\n", start) + 1:
        _, event = decode_line(data[start:stop])
        if event is not None:
            yield event
        start = stop


def read_records(data: bytes, seq: int, most: float = math.inf) -> tuple[list[Event], int, int]:
    """Return the events of the leading good lines, the next number and where they end.

    Of more than ``most`` events the later ones are only looked at, but for one: so it shows.
    """
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
        if event is not None and len(events) <= most:
            events.append(event)
        seq += 1
        start = stop
