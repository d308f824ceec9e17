"""The hooks of a user's tuner: they may block, raise and refuse to end; the search goes on, or ends.

A plain function runs in a thread, so that neither the trials' news nor Ctrl-C wait for it. All
of a search run in the same one, in turn: what one has opened, such as a database that insists on
its thread, another can use. A coroutine runs on the event loop, in a task of its own: who catches
CancelledError and goes on cannot be ended, but the task can be left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import queue
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from aiotune import logs
from aiotune._exit import ProgramExit

__all__ = ("Callbacks",)

_SLOW = 1.0
"""Seconds after which the user is told that a hook holds others up."""
_PATIENCE = 1.0
"""Seconds that a hook which is to end may take for that."""
_PAUSE = 0.1
"""Seconds between two cancellations of one that catches them."""
_DEEPEST = 5
"""Frames of a stack that are shown, the innermost ones."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A hook under way.

    Attributes:
        name: The hook's.
        outcome: Its result.
        cancel: Asks it to end, if that can be asked.
        stack: Tells where it is.
        seconds: Tells how long it has run in the thread; ``None`` while it waits for its turn.
    """

    name: str
    outcome: asyncio.Future[Any]
    cancel: Callable[[], object]
    stack: Callable[[], str]
    seconds: Callable[[], float | None] = lambda: 0.0


class Callbacks:
    """Calls hooks, and ends them when the search ends.

    Args:
        log: Takes warnings about hooks that hold others up or refuse to end.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._thread: _Thread | None = None
        self._scopes: set[anyio.CancelScope] = set()
        self._end_by: float | None = None

    def end_within(self, grace: float) -> None:
        """Cancel in so many seconds what runs; what is called later gets a second at least."""
        by = anyio.current_time() + max(grace, _PATIENCE)
        self._end_by = by if self._end_by is None else min(by, self._end_by)
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, self._end_by)

    def close(self) -> None:
        """Let the thread end when its work is done."""
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    async def call(self, hook: Callable[..., Any], *args: Any) -> None:
        """Call a hook and wait for its end, or for the end of the search's patience.

        Raises:
            Exception: Whatever the hook raises.
            ProgramExit: It ends the program.
            RuntimeError: It was cancelled, and not by the search.
        """
        name = getattr(hook, "__name__", repr(hook))
        if inspect.iscoroutinefunction(hook):
            await self._run_here(name, hook(*args))
            return
        if self._thread is None:
            self._thread = _Thread()
        result = await self._outcome(self._thread.run(name, partial(hook, *args)))
        if inspect.isawaitable(result):
            await self._run_here(name, _awaited(result))

    async def _run_here(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        # Not in a task group, which would wait for ever for a task that refuses to end.
        task = asyncio.get_running_loop().create_task(_whole(self._steps(name, coroutine)))
        await self._outcome(_Call(name, task, task.cancel, partial(_stack_of, coroutine)))

    async def _outcome(self, call: _Call) -> Any:
        outcome = call.outcome
        with anyio.CancelScope() as scope:
            if self._end_by is not None:
                scope.deadline = max(self._end_by, anyio.current_time() + _PATIENCE)
            self._scopes.add(scope)
            try:
                await self._wait(call)
            finally:
                self._scopes.discard(scope)
                if not outcome.done():
                    await self._end(call)
        if scope.cancelled_caught and (not outcome.done() or outcome.cancelled()):
            return None
        if outcome.cancelled():
            raise RuntimeError(f"{call.name}() was cancelled, and not by the search.")
        return outcome.result()

    async def _wait(self, call: _Call) -> None:
        while not call.outcome.done():
            await asyncio.wait([call.outcome], timeout=_SLOW)
            seconds = round(call.seconds() or 0.0, 1)
            if not call.outcome.done() and seconds >= _SLOW:
                self._log.warning(logs.CALLBACK_SLOW, callback=call.name, seconds=seconds)
                await asyncio.wait([call.outcome])

    async def _end(self, call: _Call) -> None:
        """Ask a hook to end until it does; one that does not is left behind."""
        outcome = call.outcome
        outcome.add_done_callback(_heard)
        by = max(anyio.current_time() + _PATIENCE, self._end_by or 0.0)
        try:
            with anyio.CancelScope(shield=True, deadline=by):
                while not outcome.done():
                    call.cancel()
                    await asyncio.wait([outcome], timeout=_PAUSE)
        finally:
            if not outcome.done():
                self._leave(call)

    def _leave(self, call: _Call) -> None:
        if call.seconds() is not None:
            self._log.warning(
                logs.CALLBACK_REFUSES_CANCELLATION, callback=call.name, stack=call.stack()
            )
        if not isinstance(call.outcome, asyncio.Task):
            call.outcome.cancel()  # if it waits for its turn, it has missed it
            self.close()  # the next one gets another thread

    @types.coroutine
    def _steps(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a coroutine, and tell of each step that has held the event loop for long."""
        step: Callable[[], Any] = partial(coroutine.send, None)
        while True:
            began = time.monotonic()
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            except (KeyboardInterrupt, SystemExit) as error:
                raise ProgramExit("hook", error) from error
            finally:
                seconds = round(time.monotonic() - began, 1)
                if seconds >= _SLOW:
                    self._log.warning(logs.CALLBACK_BLOCKS, callback=name, seconds=seconds)
            try:
                step = partial(coroutine.send, (yield waits_for))
            except BaseException as error:  # noqa: BLE001 - the coroutine's to handle
                step = partial(coroutine.throw, error)


class _Thread:
    """Runs functions one after the other; a daemon, so that no program waits at its exit for a hook."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._now: tuple[asyncio.Future[Any], float] | None = None
        self._thread = threading.Thread(target=self._run_all, name="aiotune-hooks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End when everything is done."""
        self._work.put(None)

    def run(self, name: str, function: Callable[[], Any]) -> _Call:
        """Run a function when those before it have ended."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()
        self._work.put(partial(self._perform, loop, outcome, partial(context.run, function)))
        seconds = partial(self._seconds, outcome)
        return _Call(name, outcome, lambda: None, self._stack, seconds)

    def _run_all(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _perform(
        self,
        loop: asyncio.AbstractEventLoop,
        outcome: asyncio.Future[Any],
        function: Callable[[], Any],
    ) -> None:
        if outcome.cancelled():
            return
        self._now = outcome, time.monotonic()
        try:
            settle = partial(_succeed, outcome, function())
        except BaseException as error:  # noqa: BLE001 - raised where the hook is waited for
            settle = partial(_fail, outcome, error)
        self._now = None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    def _seconds(self, outcome: asyncio.Future[Any]) -> float | None:
        now = self._now
        return time.monotonic() - now[1] if now is not None and now[0] is outcome else None

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - documented
        return _shown(traceback.extract_stack(frame))


async def _awaited(result: Any) -> Any:
    return await result


async def _whole(steps: Any) -> Any:
    return await steps


def _succeed(outcome: asyncio.Future[Any], result: Any) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _fail(outcome: asyncio.Future[Any], error: BaseException) -> None:
    if outcome.done():
        return
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        error = ProgramExit("hook", error)
    elif isinstance(error, StopIteration):  # which a future refuses to hold
        error = RuntimeError(f"The hook raised {error!r}.")
    outcome.set_exception(error)


def _heard(outcome: asyncio.Future[Any]) -> None:
    if not outcome.cancelled():
        outcome.exception()  # or asyncio would complain that nobody looked at it


def _stack_of(coroutine: Any) -> str:
    frames = traceback.StackSummary()
    while coroutine is not None and (frame := getattr(coroutine, "cr_frame", None)) is not None:
        frames += traceback.extract_stack(frame, limit=1)
        coroutine = coroutine.cr_await
    return _shown(frames)


def _shown(frames: traceback.StackSummary) -> str:
    ours = {__file__, threading.__file__}
    places = [
        f"{f.filename}:{f.lineno} in {f.name}" for f in frames[-_DEEPEST:] if f.filename not in ours
    ]
    return ", ".join(reversed(places)) or "not known"
