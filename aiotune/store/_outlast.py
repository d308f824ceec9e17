"""Waiting for a thread that holds something, whatever happens to the one who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import anyio

__all__ = ("held", "outlast")

T = TypeVar("T")


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


async def held(work: asyncio.Future[T], let_go: Callable[[T], object] = lambda _: None) -> T:
    """Wait for what is being opened, or closed, and let go of it if the caller is cancelled meanwhile.

    The data may be gigabytes, and nobody else knows of them.
    """
    cancelled = await outlast(work)
    if cancelled is None:
        return work.result()
    if work.exception() is None:
        let_go(work.result())
    raise cancelled
