"""Blocking work, off the event loop, in named lanes of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread

__all__ = ("InlineOffloader", "Offloader", "ThreadOffloader")

T = TypeVar("T")


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
            return await anyio.to_thread.run_sync(function, *args)


class InlineOffloader:
    """Runs each call at once, on the loop: for virtual time, to which a thread would be a deadlock."""

    async def run(self, lane: str, function: Callable[..., T], *args: object) -> T:
        """Run a function here and now."""
        return function(*args)
