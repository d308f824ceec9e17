"""Ctrl-C, SIGTERM and a notebook's "Interrupt", as a search answers them."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Self

__all__ = ("Signals",)

_BEAT = 0.25
_PATIENCE = 3.0
"""Seconds that hurrying may take before another Ctrl-C is one for Python."""
_DEFAULTS = ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler))


class Signals:
    """Within it a signal that nobody else handles cancels the task that entered it.

    ``asyncio.run`` and notebooks handle SIGINT themselves: they cancel the task. For the presses
    after the first see :class:`_Presses`. Where Python's own handler is in place (IPython's
    terminal, ``loop.run_until_complete``) it would raise KeyboardInterrupt in the middle of the
    event loop and leave the task suspended for ever, with the project locked and the trials
    running. SIGTERM would end the process without a word.

    A notebook's handler only leaves a message for its event loop, which does not wake up when
    another thread has taken the signal. So the loop is woken several times a second.

    Args:
        hurry: Called at a second signal, and those after it.

    Attributes:
        heard: The signals that have cancelled the task, and those that came after them.
    """

    def __init__(self, hurry: Callable[[], None]) -> None:
        self.heard: list[signal.Signals] = []
        self._hurry = hurry
        self._installed: list[signal.Signals] = []
        self._presses: _Presses | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._beat()
        if threading.current_thread() is threading.main_thread():
            for number, default in _DEFAULTS:
                if signal.getsignal(number) is default:
                    self._loop.add_signal_handler(number, self._hear, number)
                    self._installed.append(number)
            self._presses = _Presses.joined_by(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._next_beat.cancel()
        for number in self._installed:
            self._loop.remove_signal_handler(number)
        if self._presses is not None:
            self._presses.left_by(self)

    def cancelled_with(self, main_task: asyncio.Task[Any] | None, number: int) -> None:
        """Take note that a signal has cancelled the program, if that is this task."""
        if self._task is main_task:
            self.heard.append(signal.Signals(number))

    def hasten(self) -> None:
        """Hurry, from within a signal's handler."""
        self._loop.call_soon_threadsafe(self._hurry)

    def interrupt_in_the_end(self, message: str) -> None:
        """Raise KeyboardInterrupt out of the event loop when the task has ended by its cancellation.

        As ``asyncio.run`` does. Raised in the task it would end the loop before what else waits
        for the task's end, such as idle threads, which the program's exit would then wait for.
        """
        if self._task is not None:
            self._task.add_done_callback(partial(_interrupt, message))

    def _beat(self) -> None:
        self._next_beat = self._loop.call_later(_BEAT, self._beat)

    def _hear(self, number: signal.Signals) -> None:
        self.heard.append(number)
        if len(self.heard) > 1:
            self._hurry()
        elif self._task is not None:
            self._task.cancel()


class _Presses:
    """Stands in for the handler of SIGINT of ``asyncio.run`` while searches run in its loop.

    A first Ctrl-C is asyncio's, which cancels the program's main task. At a second one asyncio
    raises KeyboardInterrupt wherever the program happens to be. In the middle of a thread's start
    that left a thread which nobody would end, and the program waited for it for ever. So a second
    Ctrl-C hurries the searches, which then end in order, without grace. A later one is asyncio's
    again if that takes too long: something blocks the loop.
    """

    def __init__(self, asyncios: partial[Any]) -> None:
        self._asyncios = asyncios
        self._searches: list[Signals] = []
        self._cancelled = False
        self._hurried = math.inf

    @classmethod
    def joined_by(cls, search: Signals) -> _Presses | None:
        """Take the place of asyncio's handler, or share it with the loop's other searches."""
        presses: Any = signal.getsignal(signal.SIGINT)
        owner = presses.func if isinstance(presses, partial) else None
        if isinstance(getattr(owner, "__self__", None), asyncio.Runner):
            presses = cls(presses)
            signal.signal(signal.SIGINT, presses)
        return presses._join(search) if isinstance(presses, cls) else None

    def _join(self, search: Signals) -> _Presses:
        self._searches.append(search)
        return self

    def left_by(self, search: Signals) -> None:
        """Give the place back with the last search."""
        self._searches.remove(search)
        if not self._searches:
            self._give_back()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not (self._cancelled or any(search.heard for search in self._searches)):
            self._cancelled = True
            self._asyncios(number, frame)
            for search in self._searches:
                # Only the main task's end is the program's, and can say of what.
                search.cancelled_with(self._asyncios.keywords.get("main_task"), number)
        elif now < self._hurried + _PATIENCE:
            self._hurried = min(self._hurried, now)
            for search in self._searches:
                search.hasten()
        else:
            self._give_back()
            self._asyncios(number, frame)

    def _give_back(self) -> None:
        current: object = signal.getsignal(signal.SIGINT)
        if current is self:
            signal.signal(signal.SIGINT, self._asyncios)


def _interrupt(message: str, task: asyncio.Task[Any]) -> None:
    if task.cancelled():  # IPython shows the cancellation itself, and its task goes on
        raise KeyboardInterrupt(message)
