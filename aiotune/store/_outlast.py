"""Waiting for a thread that holds something, whatever happens to the one who waits."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import anyio

__all__ = ("BegunInAnyCase", "held", "outlast")

T = TypeVar("T")

_LINGER = 5.0
"""Seconds after a cancellation until a thread is left behind: it hangs in a disk or a file server."""


async def outlast(
    work: asyncio.Future[Any],
    *,
    deadline: float | None = None,
    linger: float | None = _LINGER,
) -> asyncio.CancelledError | None:
    """Wait until a thread's work is over; return the cancellation that came meanwhile, if any.

    A thread cannot be cancelled. Whoever leaves it behind leaves the lock and
    the descriptors that it is about to return behind, too, and the same
    program's next search would be refused by its own lock. So the wait is as long as the
    disk takes; but nobody who wants to end waits for a disk that hangs.

    Args:
        work: The thread's future; its result and its exception are left to the caller.
        deadline: Seconds after which it is left behind in any case; ``None``: never.
        linger: Seconds after a cancellation until it is left behind; ``None``: never.

    Returns:
        What the caller has to raise, once it has let go of what it holds. The work may not be
        done only after a cancellation, or after the deadline.
    """
    cancelled: asyncio.CancelledError | None = None
    now = asyncio.get_running_loop().time
    until = None if deadline is None else now() + deadline
    # A cancelled scope of anyio's delivers again and again: without the shield this would spin.
    with anyio.CancelScope(shield=True):
        while not work.done() and (until is None or now() < until):
            try:
                await asyncio.wait([work], timeout=None if until is None else until - now())
            except asyncio.CancelledError as error:
                cancelled = error
                if linger is not None:
                    until = min(now() + linger, until or float("inf"))
    return cancelled


class BegunInAnyCase(Coroutine[Any, Any, None]):
    """A coroutine that begins although its task was cancelled before the first step.

    asyncio throws such a cancellation into a coroutine that has not begun, which
    then never does: what it holds stays held. That needs no odd program.
    From Python 3.14 on, ``await asyncio.to_thread(...)`` may return without a turn of
    the loop, so that a task made before it has had no step when it is cancelled after it.

    Args:
        whole: What has to be done; it has to outlast cancellations itself.
    """

    def __init__(self, whole: Coroutine[Any, Any, None]) -> None:
        self._whole = whole

    def send(self, value: Any) -> Any:
        """Go on until it waits for something."""
        return self._whole.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error where it waits; if need be, let it come to that first."""
        if inspect.getcoroutinestate(self._whole) == inspect.CORO_CREATED:
            try:
                self._whole.send(None)
            except StopIteration:
                raise error[0] from None  # it had nothing to wait for
        return self._whole.throw(*error)

    def close(self) -> None:
        """End it where it is."""
        self._whole.close()

    def __await__(self) -> Generator[Any, Any, None]:
        """Be awaited as what it wraps is."""
        return self._whole.__await__()


async def held(work: asyncio.Future[T], let_go: Callable[[T], object] = lambda _: None) -> T:
    """Wait for what is being opened, or closed, and let go of it if the caller is cancelled meanwhile.

    The data may be gigabytes, and nobody else knows of them.
    """
    cancelled = await outlast(work)
    if cancelled is None:
        return work.result()

    def over(done: asyncio.Future[T]) -> None:
        if done.exception() is None:
            let_go(done.result())

    if work.done():
        over(work)
    else:
        work.add_done_callback(over)  # it hangs in a disk; perhaps it comes back
    raise cancelled
