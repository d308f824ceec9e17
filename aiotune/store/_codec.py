"""One event, one line: ``crc32 SP json LF``."""

from __future__ import annotations

import codecs
import math
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from aiotune._printable import printable
from aiotune.errors import JournalCorrupt
from aiotune.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    MetricsReported,
    TrialCreated,
    TrialEnded,
)
from aiotune.failures import TrialFailure

__all__ = ("BadLine", "Envelope", "decode_line", "encode_line")

VERSION = 1
_MESSAGE, _TRACEBACK = 8 << 10, 32 << 10
# Whatever came out of a worker's frame, or into one, fits: escapes make it six times as long.
_LINE = 8 << 20
_NAME, _CLASSES, _PATH = 256, 32, 8 << 10
_MARK = b'{"$f":'
_UPGRADE = "It was written by a newer aiotune: upgrade aiotune to open this project."
_LONGEST_ESCAPE = 6  # a control character's: \\u001b
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class BadLine(Exception):
    """A line that is torn or damaged."""


class Envelope(msgspec.Struct, frozen=True):
    """What surrounds an event in its line.

    Attributes:
        v: Record version.
        seq: Position of the record in the journal, from 0.
        b: Offset in the segment at which the record's commit batch starts.
        ign: Whether a reader that does not know the type may skip the record.
    """

    v: int
    seq: int
    b: int
    ign: bool = False


_envelope = msgspec.json.Decoder(Envelope)


def encode_line(event: Event, *, seq: int, batch: int, at: int, since: int) -> bytes:
    """Return a record's line.

    Args:
        event: The fact.
        seq: Its position in the journal.
        batch: Offset of its commit batch in the segment.
        at: Unix time in nanoseconds.
        since: Nanoseconds since the project was opened.
    """
    body = _body(_short(event))
    head = b'{"v":%d,"seq":%d,"b":%d,"t":%d,"m":%d,' % (VERSION, seq, batch, at, since)
    text = head + body[1:]
    if not text.isascii():
        text = _ascii(text)
    if len(text) > _LINE:
        raise ValueError(
            f"A {type(event).__name__} record of {len(text)} bytes is over the limit of {_LINE}. Report "
            "fewer metrics, or shorter values."
        )
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode_line(line: bytes) -> tuple[Envelope, Event | None]:
    """Return a record's envelope and event; ``None`` for an ignorable event of an unknown type.

    Raises:
        BadLine: The line is torn or damaged.
        JournalCorrupt: It is whole, but written by a newer version.
    """
    if len(line) < 11 or line[8:9] != b" " or not line.endswith(b"\n"):  # noqa: PLR2004
        raise BadLine
    text = line[9:-1]
    # Compared as text: int() also reads capitals and blanks, which a flipped bit can make.
    if line[:8] != b"%08x" % zlib.crc32(text):
        raise BadLine
    try:
        envelope = _envelope.decode(text)
    except msgspec.MsgspecError as error:
        raise BadLine from error
    if envelope.v > VERSION:
        raise JournalCorrupt(
            f"Record {envelope.seq} of the journal has form {envelope.v}, and this version knows only "
            f"those up to {VERSION}.",
            hint=_UPGRADE,
        )
    try:
        return envelope, _event(text)
    except msgspec.ValidationError as error:
        if envelope.ign:
            return envelope, None
        raise JournalCorrupt(
            f"Record {envelope.seq} of the journal is of a kind that this version does not know "
            f"({printable(error, 300)}).",
            hint=_UPGRADE,
        ) from None


def _event(text: bytes) -> Event:
    if _MARK not in text:
        return _decoder.decode(text)
    event: Event = msgspec.convert(_restored(msgspec.json.decode(text)), Event)
    return event


def _short(event: Event) -> Event:
    failure: TrialFailure | None = getattr(event, "failure", None)
    if failure is None:
        return event
    short = msgspec.structs.replace(
        failure,
        type=_cut(failure.type, _NAME),
        message=_cut(failure.message, _MESSAGE),
        traceback=_cut(failure.traceback, _TRACEBACK),
        mro=tuple(_cut(name, _NAME) for name in failure.mro[:_CLASSES]),
        log_path=failure.log_path and _cut(failure.log_path, _PATH),
    )
    return msgspec.structs.replace(event, failure=short)


def _cut(text: str, limit: int) -> str:
    """Return the end of a text, of at most so many bytes once it is escaped."""
    if text.isascii() and len(text) * _LONGEST_ESCAPE <= limit:
        return text
    # The name of a file that is not UTF-8 comes as lone surrogates, which JSON cannot hold.
    clean = text.encode("utf-8", "backslashreplace").decode()
    if _cost(clean) <= limit:
        return text if clean == text else clean
    # A tail says more than a head: the error is at the end of a traceback.
    tail = clean[-limit:]
    while (cost := _cost(tail)) > limit:
        tail = tail[-(len(tail) * limit // cost) :]
    return f"... {tail}"


def _cost(text: str) -> int:
    return len(_ascii(_encoder.encode(text)))


def _body(event: Event) -> bytes:
    """Return an event's JSON: msgspec alone writes NaN and infinity as null without a word."""
    if all(map(math.isfinite, _floats(event))):
        body = _encoder.encode(event)
        if _MARK not in body:
            return body
    return _encoder.encode(_marked(msgspec.to_builtins(event)))


def _floats(event: Event) -> list[float]:
    """Return an event's numbers: at once for what is recorded for each trial, else by a walk."""
    match event:
        case AttemptStarted():
            return [event.at]
        case AttemptEnded():
            return [event.duration, event.at]
        case MetricsReported():
            return list(event.metrics.values())
        case TrialEnded():
            several: list[Mapping[str, Any]] = [event.metrics, event.values, *event.executions]
            found = [v for one in several for v in one.values() if isinstance(v, float)]
            found.append(event.at)
            return found if event.score is None else [*found, event.score]
        case TrialCreated():
            drawn = [*event.values.values(), *event.budget.values()]
            return [event.at, *(v for v in drawn if isinstance(v, float))]
        case _:
            return _walked(msgspec.to_builtins(event))


def _walked(data: Any) -> list[float]:
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        return [number for value in data for number in _walked(value)]
    return [data] if isinstance(data, float) else []


def _marked(data: Any) -> Any:
    if isinstance(data, dict):
        marked = {key: _marked(value) for key, value in data.items()}
        # A hyperparameter may be called so, too: in a list, its value is no number's name.
        return {"$f": [marked["$f"]]} if data.keys() == {"$f"} else marked
    if isinstance(data, list):
        return [_marked(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return {"$f": "nan" if math.isnan(data) else "inf" if data > 0 else "-inf"}
    return data


def _restored(data: Any) -> Any:
    if isinstance(data, dict):
        if data.keys() == {"$f"}:
            return _unmarked(data["$f"])
        return {key: _restored(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_restored(value) for value in data]
    return data


def _unmarked(mark: Any) -> Any:
    match mark:
        case "nan":
            return math.nan  # this one object: lists and dicts that hold it are equal to each other
        case "inf" | "-inf":
            return float(mark)
        case [value]:
            return {"$f": _restored(value)}
        case _:  # not of our making; the event's schema decides
            return {"$f": mark}


def _ascii(text: bytes) -> bytes:
    return text.decode().encode("ascii", "json_escape")


def _json_escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


codecs.register_error("json_escape", _json_escape)
