"""Bytes to messages and back, without any IO.

A frame is the length of its body (4 bytes, big-endian) and the body, one
message in msgpack. What comes from a worker is not trusted: user code may
have written to the descriptor, or the worker may have died in the middle of a
frame. So lengths, types and nesting are bounded before anything else sees them.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from aiotune._printable import printable

__all__ = ("MAX_DEPTH", "MAX_FRAME", "FrameError", "FrameReader", "encode")

MAX_FRAME = 1 << 20
"""Largest body of a frame, in bytes."""

MAX_DEPTH = 32
"""How deep containers may be nested in a message."""

_PREFIX = 4

M = TypeVar("M", bound=msgspec.Struct)


class FrameError(ValueError):
    """Bytes are not a frame, or a message does not fit into one."""


_encoder = msgspec.msgpack.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """Return the frame of a message.

    Raises:
        FrameError: The message is too large, too deep or holds what msgpack cannot express.
    """
    name = type(message).__name__
    try:
        body = _encoder.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FrameError(f"A {name} message cannot be encoded: {printable(error, 300)}.") from error
    if len(body) > MAX_FRAME:
        raise FrameError(
            f"A {name} message takes {len(body):,} bytes, and a frame holds {MAX_FRAME:,} at most. "
            "Report fewer or shorter metrics and hyperparameters."
        )
    if _too_deep(message):
        raise FrameError(
            f"A {name} message nests its containers more than {MAX_DEPTH} levels deep."
        )
    return len(body).to_bytes(_PREFIX, "big") + body


class FrameReader(Generic[M]):
    """Collects bytes and returns the messages that they complete.

    Args:
        kind: The message class, or a union of classes, that is expected.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()
        self._error: FrameError | None = None

    def feed(self, data: bytes) -> list[M]:
        """Take more bytes and return the messages that are now complete.

        Good messages in front of a bad frame are returned first; the error
        then comes from the next call, and from every call after it.

        Raises:
            FrameError: An earlier frame, or the first of these, is bad.
        """
        messages: list[M] = []
        if self._error is None:
            self._buffer += data
            try:
                while (message := self._next()) is not None:
                    messages.append(message)
            except FrameError as error:
                self._error = error
                self._buffer.clear()
        if self._error is not None and not messages:
            raise self._error
        return messages

    @property
    def error(self) -> FrameError | None:
        """What is wrong with the stream, as soon as it was read; nothing after it is decoded."""
        return self._error

    def finish(self) -> None:
        """Check that the stream may end here.

        Raises:
            FrameError: A frame was bad, or the stream ends within one.
        """
        if self._error is not None:
            raise self._error
        if self._buffer:
            raise FrameError(
                f"The stream ended within a frame, {len(self._buffer)} bytes after its beginning."
            )

    def _next(self) -> M | None:
        if len(self._buffer) < _PREFIX:
            return None
        size = int.from_bytes(self._buffer[:_PREFIX], "big")
        if size > MAX_FRAME:
            raise FrameError(
                f"A frame claims {size:,} bytes; {MAX_FRAME:,} are allowed. "
                "Something other than a message was written to the channel."
            )
        if len(self._buffer) < _PREFIX + size:
            return None
        body = bytes(self._buffer[_PREFIX : _PREFIX + size])
        del self._buffer[: _PREFIX + size]
        return self._decoded(body)

    def _decoded(self, body: bytes) -> M:
        try:
            message = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(
                f"A frame of {len(body)} bytes is not a message: {printable(error, 300)}."
            ) from error
        if _too_deep(message):
            raise FrameError(
                f"A {type(message).__name__} message nests its containers more than "
                f"{MAX_DEPTH} levels deep."
            )
        return message


def _too_deep(message: msgspec.Struct) -> bool:
    # Level by level instead of by recursion: deep nesting is the very thing to survive.
    level: list[Any] = [getattr(message, name) for name in message.__struct_fields__]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return False
    return True


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()
