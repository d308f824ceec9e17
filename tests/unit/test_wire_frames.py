"""Frames: bytes to messages and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune.wire import Discovered, Done, FromWorker, Hello, Report
from aiotune.wire._frames import MAX_DEPTH, MAX_FRAME, FrameError, FrameReader, encode

_MESSAGES: tuple[Hello | Report | Done, ...] = (
    Hello(pid=7),
    Report(step=3, metrics={"val_loss": 0.25}, execution=1),
    Done(metrics={"a": float("inf")}, best_step=0, executions=[], values={"u": 1}, entries=[]),
)


def _reader() -> FrameReader[Any]:
    return FrameReader(FromWorker)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@given(st.lists(st.integers(1, 40), max_size=20))
def test_messages_survive_any_cut_into_pieces(cuts: list[int]) -> None:
    """However a stream is cut, the same messages come out in order."""
    stream = b"".join(encode(message) for message in _MESSAGES)
    reader = _reader()

    found = []
    for size in [*cuts, len(stream)]:
        found += reader.feed(stream[:size])
        stream = stream[size:]

    assert list(_MESSAGES) == found
    reader.finish()


def test_oversized_message_is_not_encoded() -> None:
    """A message over the limit is refused by its sender, with its size."""
    big = Report(step=0, metrics={"m" * (MAX_FRAME + 1): 1.0})

    with pytest.raises(FrameError, match=r"A Report message takes 1,048,\d{3} bytes"):
        encode(big)


def test_oversized_length_is_refused_at_once() -> None:
    """A length over the limit is refused before the body is awaited."""
    with pytest.raises(FrameError, match="claims 2,147,483,648 bytes"):
        _reader().feed((1 << 31).to_bytes(4, "big"))


@given(st.binary(min_size=1, max_size=64))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    """Random bytes give no message, only an error or the wait for more."""
    reader = _reader()

    try:
        found = reader.feed(data)
    except FrameError:
        found = []

    assert found == []


@pytest.mark.parametrize("body", [b"\xc1", b"\x80", msgspec.msgpack.encode({"t": "exec"}), b""])
def test_body_that_is_no_known_message_is_refused(body: bytes) -> None:
    """A complete frame must hold one of the expected messages."""
    with pytest.raises(FrameError, match="is not a message"):
        _reader().feed(len(body).to_bytes(4, "big") + body)


@pytest.mark.parametrize("depth", [MAX_DEPTH, 500, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """Nesting beyond the limit is an error, not a crash of the reader."""
    inner = b"\x91" * depth + b"\x01"
    body = msgspec.msgpack.encode({"t": "discovered", "values": {}})
    body = b"\x83" + body[1:] + b"\xa7entries\x91\x81\xa1k" + inner

    with pytest.raises(FrameError):
        _reader().feed(len(body).to_bytes(4, "big") + body)


def test_deep_nesting_is_not_encoded() -> None:
    """The sender refuses what the receiver would refuse."""
    deep = Discovered(entries=[{"k": _nested(MAX_DEPTH)}], values={})

    with pytest.raises(FrameError, match="levels deep"):
        encode(deep)


def test_allowed_nesting_passes() -> None:
    """Nesting within the limit travels."""
    message = Discovered(entries=[{"k": _nested(MAX_DEPTH - 4)}], values={})

    assert [message] == _reader().feed(encode(message))


def test_unencodable_value_is_refused() -> None:
    """A value that msgpack cannot express is named by its message."""
    message = Discovered(entries=[{"k": object()}], values={})

    with pytest.raises(FrameError, match="A Discovered message cannot be encoded"):
        encode(message)


def test_good_messages_before_a_bad_frame_are_kept() -> None:
    """A bad frame loses nothing that came before it, and stays an error."""
    reader = _reader()

    first = reader.feed(encode(Hello(pid=1)) + b"\xff\xff\xff\xff")

    assert [Hello(pid=1)] == first
    with pytest.raises(FrameError):
        reader.feed(b"")
    with pytest.raises(FrameError):
        reader.finish()


def test_end_within_a_frame_is_an_error() -> None:
    """A stream that ends in the middle of a frame was torn."""
    reader = _reader()

    assert reader.feed(encode(Hello(pid=1))[:-1]) == []

    with pytest.raises(FrameError, match="ended within a frame"):
        reader.finish()
