"""A worker's line to the tuner: one order in, messages out.

Training must not stop because the tuner is suspended or slow: an unread
socket takes some hundred messages. So nothing but the final message waits for
the tuner, and metrics that cannot be sent give way to newer ones.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from dataclasses import dataclass

from aiotune.wire import (
    Adopt,
    Done,
    Failed,
    FinishEarly,
    FrameReader,
    FromWorker,
    Probed,
    Report,
    RunAttempt,
    RunProbe,
    RunSelfTest,
    RunWeighing,
    ToWorker,
    Weighed,
    encode,
)

__all__ = ("Adopted", "Channel", "NoOrder")

_CHUNK = 64 * 1024
_Order = RunAttempt | RunWeighing | RunProbe | RunSelfTest
_Heard = _Order | Adopt | FinishEarly


class NoOrder(Exception):
    """The tuner closed the channel before it gave an order."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """An attempt's name and output log, given to a worker that was started ahead of need."""

    attempt_id: str
    log_fd: int


class Channel:
    """The worker's end of its socket.

    Args:
        fd: A stream socket; owned from now on.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._unsent: deque[tuple[bytes, bool]] = deque()  # (frame or its rest, may be replaced)
        self._closed = False
        self._reader = FrameReader[_Heard](ToWorker | Adopt | FinishEarly)
        self._reason: str | None = None

    def receive(self) -> tuple[_Order, Adopted | None]:
        """Wait for the one order, and for what may precede it.

        Raises:
            NoOrder: The tuner has none.
        """
        adopted: Adopted | None = None
        while True:
            data, fds, _, _ = socket.recv_fds(self._socket, _CHUNK, 1, socket.MSG_CMSG_CLOEXEC)
            if not data:
                raise NoOrder
            order: _Order | None = None
            for message in self._reader.feed(data):
                match message:
                    case Adopt():
                        adopted = Adopted(message.attempt_id, fds[0])
                    case FinishEarly():
                        self._reason = message.reason
                    case _:
                        order = message
            if order is not None:
                return order, adopted

    def asked_to_finish(self) -> str | None:
        """Return why the tuner wants the training to end early; ``None`` while it does not.

        Costs one system call, and never waits.
        """
        if self._reason is None and not self._closed and os.getpid() == self._process:
            try:
                data = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
            except OSError:
                return None  # nothing was said, or nobody is there any more
            for message in self._reader.feed(data):
                if isinstance(message, FinishEarly):
                    self._reason = message.reason
        return self._reason

    def say(self, message: FromWorker) -> None:
        """Send a message; only a final one waits until the tuner has taken it.

        Raises:
            FrameError: The message does not fit into a frame.
        """
        frame = encode(message)
        if os.getpid() != self._process:
            return  # a child that the user's code forked does not speak for the attempt
        with self._lock:
            replaceable = isinstance(message, Report)
            self._send(wait=False)
            if replaceable and self._unsent and self._unsent[-1][1]:
                self._unsent[-1] = (frame, True)
            else:
                self._unsent.append((frame, replaceable))
            self._send(wait=isinstance(message, (Done, Failed, Probed, Weighed)))

    def close(self) -> None:
        """Close the socket; a worker leaves that to its end."""
        self._socket.close()

    def _send(self, *, wait: bool) -> None:
        while self._unsent and not self._closed:
            frame, _ = self._unsent[0]
            try:
                sent = self._socket.send(frame, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if not wait:
                    return
                self._wait_writable()
                continue
            except OSError:
                # Nobody listens any more. The result is on disk, and the
                # keeper ends this process if the tuner is gone.
                self._closed = True
                return
            if sent == len(frame):
                self._unsent.popleft()
            else:  # the rest of a frame can no longer be replaced
                self._unsent[0] = (frame[sent:], False)

    def _wait_writable(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        poll.poll()
