"""A thread that writes for callers which may not wait: to a terminal, a pipe, a file on a server.

Whoever reads a terminal may have pressed Ctrl-S or gone to sleep, and a file server may hang. A
thread that waits for them cannot be interrupted, so it is a daemon that can be left behind: a
search ends without it. Nothing is lost of what is written in time. What waits is bounded: the oldest
lines make way, and it is said how many did; of moments only the newest one waits.

A thread that waits in ``sys.stdout.write()`` holds the lock of ``sys.stdout``, and the interpreter's
end waits for that, so outlets write to descriptors (:mod:`aiotune.display._descriptor`) where they can.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

import anyio

__all__ = ("LAST_WAIT", "Outlet", "Writer")

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
LAST_WAIT = 2.0
"""Seconds that a writer has at the end of a search to write what waits, before it is left behind."""
_FAREWELL = 0.25
"""Seconds that one which was left behind has at the program's exit: read again, it may still end in order."""


class Outlet(Protocol[M_contra]):
    """Where a writer writes. Everything is called in the writer's thread, and may block or raise."""

    def write(self, lines: Sequence[str]) -> None:
        """Write lines without their ends; there may be none, at a :meth:`Writer.wake`."""
        ...

    def show(self, moment: M_contra) -> None:
        """Show the newest moment."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Writer(Generic[M]):
    """Takes lines and moments at once, from any thread, and has its own thread write them.

    The thread begins with the first thing to write. It ends at the first error of the outlet; what
    comes after that is dropped.

    Args:
        outlet: Writes.
        notice: Returns the line that stands for so many lines which were left out.
        most: Characters that may wait.
    """

    def __init__(
        self, outlet: Outlet[M], notice: Callable[[int], str], *, most: int = 1 << 20
    ) -> None:
        self._outlet, self._notice, self._most = outlet, notice, most
        # A signal's handler, or a destructor, may print in the middle of put().
        self._lock = threading.RLock()
        self._lines: deque[str] = deque()
        self._size = self._left_out = 0
        self._moments: list[M] = []  # the newest one, or none
        self._asleep, self._wanted, self._closing = True, False, False
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._when_ended: list[Callable[[], object]] = []
        self._error: Exception | None = None
        self.ended = False

    # ── for any thread; nothing of it waits ────────────────────────────────

    def put(self, *lines: str, wake: bool = True) -> None:
        """Add lines to what waits; without ``wake`` they may wait until :meth:`wake`."""
        with self._lock:
            if self.ended:
                return
            self._lines.extend(lines)
            self._size += sum(map(len, lines))
            while self._size > self._most and len(self._lines) > 1:
                self._size -= len(self._lines.popleft())
                self._left_out += 1
            if wake:
                self.wake()

    def show(self, moment: M) -> None:
        """Replace the moment that waits, if there is one."""
        with self._lock:
            if not self.ended:
                self._moments = [moment]
                self.wake()

    def wake(self) -> None:
        """Have written what waits."""
        with self._lock:
            self._wanted = True
            if self._asleep and not self.ended:
                self._asleep = False
                if self._thread is None:
                    self._start()
                else:
                    self._wakes.put(None)

    def close(self) -> None:
        """Have written what waits, and end then; return at once."""
        with self._lock:
            self._closing = True
            self.wake()

    def take_error(self) -> Exception | None:
        """Return what the outlet has raised, once."""
        error, self._error = self._error, None
        return error

    async def aclose(self, seconds: float = LAST_WAIT) -> bool:
        """Close, and wait for the end for so many seconds.

        Returns:
            Whether it has ended. If not, it is left behind, and ends when its outlet takes what it writes.
        """
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        with self._lock:
            if not self.ended:
                self._when_ended.append(partial(_tell, loop, over))
                self.close()
        if not self.ended:
            with anyio.move_on_after(seconds, shield=True):
                await over.wait()
        if not self.ended:
            # Of a terminal the cursor is hidden, and a table is drawn.
            atexit.register(self.join, _FAREWELL)
        return self.ended

    def join(self, seconds: float = LAST_WAIT) -> bool:
        """Do as :meth:`aclose`, for a caller that may wait."""
        self.close()
        if self._thread is not None:
            self._thread.join(seconds)
        return self.ended

    # ── the thread ─────────────────────────────────────────────────────────

    def _start(self) -> None:
        # A notebook shows what a thread prints where the context says.
        run = partial(contextvars.copy_context().run, self._run)
        self._thread = threading.Thread(target=run, name="aiotune-writer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no thread is to be had
            self._thread, self._error = None, error
            self._end()

    def _run(self) -> None:
        try:
            while self._write():
                self._sleep()
        except Exception as error:  # noqa: BLE001 - whatever it is, the search is worth more
            self._error = error
        with contextlib.suppress(Exception):  # a terminal's cursor is restored, if it can be
            self._outlet.close()
        self._end()

    def _write(self) -> bool:
        """Write what waits; return whether there may be more to come."""
        with self._lock:
            self._wanted = False
            lines, left_out, moments = self._lines, self._left_out, self._moments
            self._lines, self._size, self._left_out, self._moments = deque(), 0, 0, []
            closing = self._closing
        self._outlet.write([self._notice(left_out), *lines] if left_out else list(lines))
        for moment in moments:
            self._outlet.show(moment)
        return not closing

    def _sleep(self) -> None:
        with self._lock:
            if self._wanted:
                return
            self._asleep = True
        self._wakes.get()

    def _end(self) -> None:
        with self._lock:
            self.ended = True
            self._lines.clear()
            self._moments.clear()
        atexit.unregister(self.join)
        for tell in self._when_ended:
            tell()


def _tell(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(over.set)
