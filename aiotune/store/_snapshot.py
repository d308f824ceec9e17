"""What a sealed segment holds, in a form that is read four times as fast; disposable.

A snapshot is never believed more than the journal: it names the length and the
checksum of the segment that it was made from, and one that does not match, is
damaged, or was made by a version that knows other events, is as good as none.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

from aiotune._disk import read_private, write_private
from aiotune.events import Event

__all__ = (
    "Sealed",
    "is_current",
    "read_snapshot",
    "sealed_events",
    "sealed_in",
    "sealed_one_by_one",
    "snapshot_path",
    "write_snapshot",
)


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """A segment's records.

    Attributes:
        form: Fingerprint of the events that the maker knew.
        length: The segment's size in bytes.
        crc32: Its checksum.
        first: Number of its first record.
        end: Number of the record after its last one.
        events: Its events, as msgpack.
    """

    form: int
    length: int
    crc32: int
    first: int
    end: int
    events: msgspec.Raw


_head = msgspec.msgpack.Decoder(Sealed)
_events = msgspec.msgpack.Decoder(list[Event])
_raw = msgspec.msgpack.Decoder(list[msgspec.Raw])
_event: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_encoder = msgspec.msgpack.Encoder()


def snapshot_path(segment: Path) -> Path:
    """Return where a segment's snapshot is."""
    return segment.with_suffix(".snapshot")


def read_snapshot(
    segment: Path, data: bytes, crc32: int, first: int
) -> tuple[list[Event], int] | None:
    """Return a segment's events, and the number after its last record, if its snapshot matches.

    Args:
        segment: The segment's path.
        data: All its bytes.
        crc32: Their checksum.
        first: The number that its first record must have.

    Returns:
        ``None`` if the segment itself has to be read.
    """
    sealed = sealed_in(segment, data, crc32, first)
    events = sealed_events(sealed) if sealed is not None else None
    return None if sealed is None or events is None else (events, sealed.end)


def sealed_in(segment: Path, data: bytes, crc32: int, first: int) -> Sealed | None:
    """Return what a segment's snapshot holds, its events as they are; arguments as above."""
    try:
        kept = read_private(snapshot_path(segment))
    except OSError:
        return None
    body = memoryview(kept)[8:]
    if kept[:8] != b"%08x" % zlib.crc32(body):
        return None
    try:
        sealed = _head.decode(body)
    except msgspec.MsgspecError:
        return None
    made_from = (sealed.form, sealed.length, sealed.crc32, sealed.first)
    return sealed if made_from == (_form(), len(data), crc32, first) else None


def sealed_events(sealed: Sealed) -> list[Event] | None:
    """Return the events of a snapshot; ``None`` if the segment itself has to be read."""
    try:
        return _events.decode(sealed.events)
    except msgspec.MsgspecError:
        return None


def sealed_one_by_one(sealed: Sealed) -> Iterator[Event]:
    """Yield the events of a snapshot, which is whole, without making all at once."""
    return map(_event.decode, _raw.decode(sealed.events))


def is_current(segment: Path, data: bytes) -> bool:
    """Whether a segment's snapshot was made from exactly these bytes, by a version that knows the same events."""
    try:
        kept = read_private(snapshot_path(segment))
        sealed = _head.decode(memoryview(kept)[8:])
    except (OSError, msgspec.MsgspecError):
        return False
    return read_snapshot(segment, data, zlib.crc32(data), sealed.first) is not None


def write_snapshot(
    segment: Path, data: bytes, crc32: int, first: int, end: int, events: Sequence[Event]
) -> bool:
    """Write a segment's snapshot, whole or not at all; return whether it could be.

    It is not synced: after a power loss it does not match, and is written again.
    """
    try:
        packed = msgspec.Raw(_encoder.encode(events))
        body = _encoder.encode(Sealed(_form(), len(data), crc32, first, end, packed))
        write_private(snapshot_path(segment), b"%08x" % zlib.crc32(body) + body)
    except (OSError, OverflowError, msgspec.MsgspecError):
        # A full disk; or an integer of more than 64 bits, which JSON can hold and msgpack cannot.
        return False
    return True


@cache
def _form() -> int:
    """Return a fingerprint of all events with their fields: a field more, and old snapshots are void."""
    return zlib.crc32(repr(msgspec.inspect.type_info(Event)).encode())
