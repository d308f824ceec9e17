"""Waiting for a thread that holds something, whatever happens to the one who waits."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Generator
from typing import Any

import anyio

__all__ = ("BegunInAnyCase", "outlast")


async def outlast(work: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until a thread's work is over; return the cancellation that came meanwhile, if any.

    A thread cannot be cancelled. Whoever leaves it behind leaves the lock and
    the descriptors that it is about to return behind, too, and the same
    program's next search would be refused by its own lock. The wait is as
    long as the disk takes; ``asyncio.run`` would wait for the thread as well.

    Args:
        work: The thread's future; its result and its exception are left to the caller.

    Returns:
        What the caller has to raise, once it has let go of what it holds.
    """
    cancelled: asyncio.CancelledError | None = None
    # A cancelled scope of anyio's delivers again and again: without the shield this would spin.
    with anyio.CancelScope(shield=True):
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
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
