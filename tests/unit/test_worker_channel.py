"""A worker's line to the tuner."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from aiotune.wire import (
    Adopt,
    Discovered,
    Done,
    FinishEarly,
    FrameReader,
    FromWorker,
    Hello,
    Report,
    RunProbe,
    encode,
)
from aiotune.worker._channel import Channel, NoOrder

_ORDER = RunProbe(space={"space": [], "values": {}}, environment={"A": "b"}, threads=2)
_DONE = Done(metrics={"a": 1.0}, best_step=0, executions=[], values={}, entries=[])


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, Channel]]:
    """Give the tuner's end and the worker's end."""
    ours, theirs = socket.socketpair()
    channel = Channel(theirs.detach())
    yield ours, channel
    ours.close()
    channel.close()


def _read(ours: socket.socket) -> list[Any]:
    reader = FrameReader[Any](FromWorker)
    ours.setblocking(False)
    found: list[Any] = []
    while True:
        try:
            found += reader.feed(ours.recv(1 << 16))
        except BlockingIOError:
            return found


def test_order_arrives(line: tuple[socket.socket, Channel]) -> None:
    """A worker gets the order that was sent, whether or not it was waiting."""
    ours, channel = line
    ours.send(encode(_ORDER)[:7])
    ours.send(encode(_ORDER)[7:])

    assert channel.receive() == (_ORDER, None)


def test_adoption_precedes_the_order(line: tuple[socket.socket, Channel]) -> None:
    """A worker that was started ahead of need learns its attempt and gets its log."""
    ours, channel = line
    read_end, write_end = os.pipe()
    socket.send_fds(ours, [encode(Adopt(attempt_id="0001-01-ab"))], [write_end])
    ours.send(encode(_ORDER))

    order, adopted = channel.receive()

    assert order == _ORDER
    assert adopted is not None
    assert adopted.attempt_id == "0001-01-ab"
    os.write(adopted.log_fd, b"x")
    assert os.read(read_end, 1) == b"x"
    for fd in (read_end, write_end, adopted.log_fd):
        os.close(fd)


def test_closed_channel_means_no_order() -> None:
    """A worker whose tuner goes away before the order has nothing to do."""
    ours, theirs = socket.socketpair()
    channel = Channel(theirs.detach())
    ours.close()

    with pytest.raises(NoOrder):
        channel.receive()

    channel.close()


def test_messages_arrive_in_order(line: tuple[socket.socket, Channel]) -> None:
    """While the tuner reads, every message is sent at once."""
    ours, channel = line
    messages: list[FromWorker] = [
        Hello(pid=1),
        Report(step=0, metrics={"a": 1.0}),
        Report(step=1, metrics={"a": 2.0}),
        _DONE,
    ]

    for message in messages:
        channel.say(message)

    assert _read(ours) == messages


def test_metrics_give_way_to_newer_ones_when_nobody_reads(
    line: tuple[socket.socket, Channel],
) -> None:
    """Training goes on at a full socket; discoveries and the newest metrics are kept."""
    ours, channel = line
    first = [Report(step=step, metrics={"a": float(step)}) for step in range(5000)]
    discovered = Discovered(entries=[{"class_name": "Int"}], values={"u": 1})

    for report in first:
        channel.say(report)
    channel.say(discovered)
    channel.say(Report(step=5001, metrics={}))
    channel.say(Report(step=5002, metrics={}))
    received = _read(ours)
    channel.say(Report(step=5003, metrics={}))
    received += _read(ours)

    steps = [m.step for m in received if isinstance(m, Report)]
    assert steps == sorted(set(steps))
    assert len(steps) < 5000
    newest = [Report(step=5002, metrics={}), Report(step=5003, metrics={})]
    assert received[-4:] == [first[-1], discovered, *newest]


def test_closed_tuner_is_no_error(line: tuple[socket.socket, Channel]) -> None:
    """A worker whose tuner is gone goes on until its keeper ends it."""
    ours, channel = line
    ours.close()

    channel.say(Report(step=0, metrics={}))
    channel.say(_DONE)


def test_forked_child_is_not_heard(
    line: tuple[socket.socket, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that the user's code forks cannot speak for the attempt."""
    ours, channel = line
    monkeypatch.setattr("aiotune.worker._channel.os.getpid", lambda: -1)

    channel.say(_DONE)

    assert _read(ours) == []


def test_a_request_to_finish_is_heard_without_waiting(line: tuple[socket.socket, Channel]) -> None:
    """Nothing was said: no; a part of it was said: not yet; it was said: why, from then on."""
    ours, channel = line
    ours.send(encode(_ORDER))
    channel.receive()
    frame = encode(FinishEarly(reason="hopeless"))

    assert channel.asked_to_finish() is None
    ours.send(frame[:5])
    assert channel.asked_to_finish() is None
    ours.send(frame[5:])
    assert channel.asked_to_finish() == "hopeless"
    assert channel.asked_to_finish() == "hopeless"


def test_a_request_that_comes_with_the_order_is_not_lost(
    line: tuple[socket.socket, Channel],
) -> None:
    """Both may be read in one piece."""
    ours, channel = line
    ours.send(encode(_ORDER) + encode(FinishEarly(reason="at once")))

    assert channel.receive() == (_ORDER, None)
    assert channel.asked_to_finish() == "at once"


def test_a_tuner_that_is_gone_asks_for_nothing(line: tuple[socket.socket, Channel]) -> None:
    """Training goes on; the keeper is who ends it."""
    ours, channel = line
    ours.close()

    assert channel.asked_to_finish() is None
