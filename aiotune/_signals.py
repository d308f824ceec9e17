"""Ctrl-C, SIGTERM and a notebook's "Interrupt", as a search answers them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Self

__all__ = ("Signals",)

_BEAT = 0.25
_DEFAULTS = ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler))


class Signals:
    """Within it a signal that nobody else handles cancels the task that entered it.

    ``asyncio.run`` and notebooks handle SIGINT themselves: they cancel the task. Where Python's
    own handler is in place (IPython's terminal, ``loop.run_until_complete``) it would raise
    KeyboardInterrupt in the middle of the event loop and leave the task suspended for ever, with
    the project locked and the trials running. SIGTERM would end the process without a word.

    A notebook's handler only leaves a message for its event loop, which does not wake up when
    another thread has taken the signal. So the loop is woken several times a second.

    Args:
        hurry: Called at a second signal, and those after it.

    Attributes:
        heard: The signals that came.
    """

    def __init__(self, hurry: Callable[[], None]) -> None:
        self.heard: list[signal.Signals] = []
        self._hurry = hurry
        self._installed: list[signal.Signals] = []

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._beat()
        if threading.current_thread() is threading.main_thread():
            for number, default in _DEFAULTS:
                if signal.getsignal(number) is default:
                    self._loop.add_signal_handler(number, self._hear, number)
                    self._installed.append(number)
        return self

    def __exit__(self, *exc: object) -> None:
        self._next_beat.cancel()
        for number in self._installed:
            self._loop.remove_signal_handler(number)

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


def _interrupt(message: str, task: asyncio.Task[Any]) -> None:
    if task.cancelled():  # IPython shows the cancellation itself, and its task goes on
        raise KeyboardInterrupt(message)
