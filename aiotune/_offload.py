"""Blocking work, off the event loop, in named lanes of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from aiotune._threads import start_in_thread

__all__ = ("InlineOffloader", "Offloader", "ThreadOffloader", "in_thread")

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Run a function in a thread; a cancelled scope waits for its end."""
    await checkpoint()
    outcome = start_in_thread(function, *args)
    with anyio.CancelScope(shield=True):
        await outcome
    return outcome.result()


class Offloader(Protocol):
    """Runs blocking functions for coroutines."""

    async def run(self, lane: str, function: Callable[..., T], *args: object) -> T:
        """Run a function; calls in the same lane run one after the other."""
        ...


class ThreadOffloader:
    """Runs each call in a worker thread; a lane admits one at a time."""

    def __init__(self) -> None:
        self._lanes: dict[str, anyio.Lock] = {}

    async def run(self, lane: str, function: Callable[..., T], *args: object) -> T:
        """Run a function in a thread."""
        async with self._lanes.setdefault(lane, anyio.Lock()):
            return await in_thread(function, *args)


class InlineOffloader:
    """Runs each call at once, on the loop: for virtual time, to which a thread would be a deadlock."""

    async def run(self, lane: str, function: Callable[..., T], *args: object) -> T:
        """Run a function here and now."""
        return function(*args)
