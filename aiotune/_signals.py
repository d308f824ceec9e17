"""Ctrl-C, SIGTERM, SIGHUP and a notebook's "Interrupt", as a search answers them."""

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

from aiotune._asking import ENDS_SEARCHES, is_left_to_the_system

__all__ = ("Signals",)

_BEAT = 0.25
_PATIENCE = 3.0
"""Seconds that hurrying may take before another Ctrl-C is one for Python."""
_IMPATIENT = frozenset({signal.SIGINT, signal.SIGTERM})
"""What hurries a search that ends already. A terminal that is closed sends SIGHUP twice, and
batch systems announce the end more than once: that is no wish for less than an orderly end.
"""


class Signals:
    """Within it a signal that nobody else handles cancels the task that entered it.

    ``asyncio.run`` and notebooks handle SIGINT themselves: they cancel the task. For the presses
    after the first see :class:`_Company`. Where Python's own handler is in place (IPython's
    terminal, ``loop.run_until_complete``) it would raise KeyboardInterrupt in the middle of the
    event loop and leave the task suspended for ever, with the project locked and the trials
    running. SIGTERM, or SIGHUP from a terminal that is closed, would end the process without a word;
    where SIGHUP is ignored, as under ``nohup``, it stays so.

    A notebook's handler only leaves a message for its event loop, which does not wake up when
    another thread has taken the signal. So the loop is woken several times a second.

    Args:
        hurry: Called at a second signal, and those after it.

    Attributes:
        heard: The signals that have cancelled the task, and those that came after them.
        called_off: Whether it was a signal of the searches' own, and not asyncio's, that did.
    """

    def __init__(self, hurry: Callable[[], None]) -> None:
        self.heard: list[signal.Signals] = []
        self.called_off = False
        self._hurry = hurry
        self._company: _Company | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._beat()
        if threading.current_thread() is threading.main_thread():
            self._company = _Company.joined_by(self, self._loop)
        return self

    def __exit__(self, *exc: object) -> None:
        self._next_beat.cancel()
        if self._company is not None:
            self._company.left_by(self)

    @property
    def deadly(self) -> signal.Signals | None:
        """The signal that the program dies of when the search has ended; ``None``: it goes on."""
        return next((number for number in self.heard if number in ENDS_SEARCHES), None)

    async def end_together(self) -> None:
        """Wait until all searches of the loop have ended that were called off with this one.

        Who is first ends the program, by the signal or by KeyboardInterrupt, and would leave the
        others where they are.
        """
        if self.called_off and self._company is not None:
            await self._company.end_together(self)

    def call_off(self, number: signal.Signals) -> None:
        """Cancel the task, or hurry if it was cancelled before."""
        self.heard.append(number)
        if len(self.heard) > 1:
            if number in _IMPATIENT:
                self._hurry()
        elif self._task is not None:
            self.called_off = True
            self._task.cancel()

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
        for the task's end.
        """
        if self._task is not None:
            self._task.add_done_callback(partial(_interrupt, message))

    def _beat(self) -> None:
        self._next_beat = self._loop.call_later(_BEAT, self._beat)


class _Company:
    """The searches that run in an event loop, and what signals do to them.

    A first Ctrl-C under ``asyncio.run`` is asyncio's, which cancels the program's main task. At a
    second one asyncio raises KeyboardInterrupt wherever the program happens to be. In the middle of
    a thread's start that left a thread which nobody would end, and the program waited for it for
    ever. So a second Ctrl-C hurries the searches, which then end in order, without grace. A later
    one is for asyncio, or Python, again if that takes too long: something blocks the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._searches: list[Signals] = []
        self._ended: set[Signals] = set()
        self._all_ended = asyncio.Event()
        self._pressed = False
        self._hurried = math.inf
        self._hears = [number for number in ENDS_SEARCHES if is_left_to_the_system(number)]
        for number in self._hears:
            loop.add_signal_handler(number, self._call_off, number)
        self._before: Any = signal.getsignal(signal.SIGINT)
        self._is_asyncios = _is_asyncios(self._before)
        if self._is_asyncios or self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._press)

    @classmethod
    def joined_by(cls, search: Signals, loop: asyncio.AbstractEventLoop) -> _Company:
        """Join the searches of a loop, or be its first one."""
        company = _companies.get(loop)
        if company is None:
            company = _companies[loop] = cls(loop)
        company._searches.append(search)
        return company

    def left_by(self, search: Signals) -> None:
        """Leave; the last one puts the handlers back."""
        self._searches.remove(search)
        self._ended.discard(search)
        self._look_round()
        if not self._searches:
            del _companies[self._loop]
            for number in self._hears:
                self._loop.remove_signal_handler(number)
            self._give_back()

    async def end_together(self, search: Signals) -> None:
        """Wait for the end of all that were called off."""
        self._ended.add(search)
        self._look_round()
        await self._all_ended.wait()

    def _look_round(self) -> None:
        if self._ended.issuperset(search for search in self._searches if search.called_off):
            self._all_ended.set()

    def _call_off(self, number: signal.Signals) -> None:
        self._all_ended.clear()
        for search in self._searches:
            search.call_off(number)

    def _press(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._loop.is_closed() or now >= self._hurried + _PATIENCE:
            self._give_back()
            self._before(number, frame)
        elif not self._is_asyncios:
            if self._pressed:
                self._hurried = min(self._hurried, now)
            self._pressed = True
            self._loop.call_soon_threadsafe(self._call_off, signal.Signals(number))
        elif self._pressed or any(search.heard for search in self._searches):
            self._hurried = min(self._hurried, now)
            for search in self._searches:
                search.hasten()
        else:
            self._pressed = True
            self._before(number, frame)
            for search in self._searches:
                # Only the main task's end is the program's, and can say of what.
                search.cancelled_with(self._before.keywords.get("main_task"), number)

    def _give_back(self) -> None:
        if signal.getsignal(signal.SIGINT) == self._press:
            signal.signal(signal.SIGINT, self._before)


_companies: dict[asyncio.AbstractEventLoop, _Company] = {}


def _is_asyncios(handler: Any) -> bool:
    owner = handler.func if isinstance(handler, partial) else None
    return isinstance(getattr(owner, "__self__", None), asyncio.Runner)


def _interrupt(message: str, task: asyncio.Task[Any]) -> None:
    if task.cancelled():  # IPython shows the cancellation itself, and its task goes on
        raise KeyboardInterrupt(message)
