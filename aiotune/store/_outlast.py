"""Waiting for a thread that holds something, whatever happens to the one who waits."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio

__all__ = ("outlast",)

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
