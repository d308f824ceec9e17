"""Threads for blocking calls of coroutines, which no program has to wait for at its end.

Those of anyio are no daemons and end with the task they serve. A task that is left suspended
for ever, because ``sys.exit()`` or Ctrl-C has broken off its event loop, leaves them waiting for
work, and the program waits for them. Those of ``concurrent.futures`` end in any case, but cannot be had
once the main thread has ended, while a search in another one still runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from functools import partial
from typing import Any, TypeVar

__all__ = ("end_idle_threads", "run_on_another_loop", "start_in_thread")

T = TypeVar("T")
_BEGINNING = 5.0  # seconds that a thread may take to begin
_Work = queue.SimpleQueue[Callable[[], None] | None]


def start_in_thread(function: Callable[..., T], *args: object) -> asyncio.Future[T]:
    """Begin a call in a thread; cancelling the future does not end the call.

    Args:
        function: May block. It runs in a copy of this context.
        *args: Its arguments.
    """
    loop = asyncio.get_running_loop()
    threads = _of_loops.get(loop)
    if threads is None:
        threads = _of_loops[loop] = _Threads()
    # Through the loop, so that one on virtual time can have it otherwise.
    call = partial(contextvars.copy_context().run, _checked, function, *args)
    return loop.run_in_executor(threads, call)


def end_idle_threads() -> None:
    """Let the running loop's threads end, each when it has nothing to do."""
    threads = _of_loops.pop(asyncio.get_running_loop(), None)
    if threads is not None:
        threads.shutdown()


def run_on_another_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine in a thread with a loop of its own: this one's may be running.

    Ctrl-C is raised here; what runs there is cancelled, and waited for until a second one comes.
    """
    begun: Future[Callable[[], object]] = Future()
    ended: Future[None] = Future()

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel))
        await work()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            ended.set_exception(error)
        else:
            ended.set_result(None)

    try:
        threading.Thread(target=run, name="aiotune-loop", daemon=True).start()
        # Not join(): Python 3.11 takes a thread for ended whose join was interrupted.
        ended.result()
    except BaseException:
        # Interrupted in start(), it may never have begun.
        either: list[Future[Any]] = [begun, ended]
        wait(either, _BEGINNING, return_when=FIRST_COMPLETED)
        if begun.done() and not ended.done():
            with contextlib.suppress(RuntimeError):  # its loop has closed meanwhile
                begun.result()()
            wait([ended])
        raise


class _Threads(Executor):
    """Has a thread for each call at a time; they are daemons, and kept for the next calls."""

    def __init__(self) -> None:
        self._idle: deque[_Work] = deque()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Perform a call."""
        outcome: Future[T] = Future()
        try:
            work = self._idle.pop()
        except IndexError:
            work = _Work()
            run = partial(_perform_all, work)
            threading.Thread(target=run, name="aiotune-thread", daemon=True).start()
        work.put(partial(self._perform, work, outcome, partial(fn, *args, **kwargs)))
        return outcome

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Let all end that have nothing to do."""
        self._closed = True
        with contextlib.suppress(IndexError):  # the last one is gone
            while True:
                self._idle.pop().put(None)

    def __del__(self) -> None:
        self.shutdown()  # its loop is gone

    def _perform(self, work: _Work, outcome: Future[T], call: Callable[[], T]) -> None:
        error: BaseException | None = None
        if not outcome.set_running_or_notify_cancel():
            self._free(work)
            return
        try:
            result = call()
        except BaseException as raised:  # noqa: BLE001 - raised where the call is waited for
            error = raised
        self._free(work)  # before anybody hears of it who may want to have the next call performed
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    def _free(self, work: _Work) -> None:
        self._idle.append(work)
        if self._closed:
            self.shutdown()


_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = (
    weakref.WeakKeyDictionary()
)


def _perform_all(work: _Work) -> None:
    while (perform := work.get()) is not None:
        perform()
        del perform  # or it would keep what it was about until the next one comes


def _checked(function: Callable[..., T], *args: object) -> T:
    try:
        return function(*args)
    except StopIteration as stop:  # which a future refuses to hold
        raise RuntimeError(f"{stop!r} was raised in a thread.") from stop
