"""Blocking work, off the event loop, in named lanes of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from aiotune._threads import start_in_thread
from aiotune.errors import AiotuneError

__all__ = ("InlineOffloader", "Offloader", "Overdue", "ThreadOffloader", "in_thread")

T = TypeVar("T")
_LINGER = 1.0
"""Seconds that a cancelled caller waits on: what is nearly done is better done than left half done."""


class Overdue(AiotuneError):
    """A call has not ended within its deadline; its thread goes on, and what it does may still happen.

    Args:
        what: What the call was about.
        seconds: Its deadline.
    """

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(
            f"{what} has taken longer than {seconds:g} s, and is waited for no longer.",
            hint="A disk, file server or driver that hangs is the usual cause: look at it, then run the "
            "program again to go on.",
            what=what,
            seconds=seconds,
        )


async def in_thread(
    function: Callable[..., T], *args: object, deadline: float | None = None, what: str = ""
) -> T:
    """Run a function in a thread.

    Nothing can end a thread that is in a call of the system's: it is left behind, a daemon.

    Args:
        function: May block.
        *args: Its arguments.
        deadline: Seconds that it is waited for; ``None``: for ever, for what computes and asks nobody.
            Who is cancelled waits a second longer at most, whatever this says.
        what: What it is about, for the message; default its name.

    Raises:
        Overdue: It has not ended by then.
    """
    outcome = await _waited_for(function, args, deadline)
    if not outcome.done():
        raise Overdue(what or _name(function), deadline or 0.0)
    return outcome.result()


async def _waited_for(
    function: Callable[..., T], args: tuple[object, ...], seconds: float | None
) -> asyncio.Future[T]:
    """Begin a call and return when it has ended, or the time is over."""
    await checkpoint()
    outcome = start_in_thread(function, *args)
    outcome.add_done_callback(_heard)
    try:
        await asyncio.wait([outcome], timeout=seconds)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await asyncio.wait([outcome], timeout=_LINGER)
        raise
    return outcome


def _heard(outcome: asyncio.Future[Any]) -> None:
    """Take note of an exception that comes too late, or asyncio would complain that nobody does."""
    if not outcome.cancelled():
        outcome.exception()


def _name(function: Callable[..., Any]) -> str:
    named = getattr(function, "func", function)  # of a partial
    return f"{getattr(named, '__name__', type(named).__name__).strip('_')}()"


class Offloader(Protocol):
    """Runs blocking functions for coroutines."""

    async def run(
        self,
        lane: str,
        function: Callable[..., T],
        *args: object,
        deadline: float | None = None,
        what: str = "",
    ) -> T:
        """Run a function; calls in the same lane run one after the other.

        Args:
            lane: Its lane.
            function: May block.
            *args: Its arguments.
            deadline: Seconds to wait, for the lane and for the function; then the caller goes on, and so
                does the function, whose lane the next call may have. ``None``: for ever.
            what: What it is about, for the message; default its name.

        Raises:
            Overdue: The deadline has passed.
        """
        ...


class ThreadOffloader:
    """Runs each call in a worker thread; a lane admits one at a time, and those that nobody waits for."""

    def __init__(self) -> None:
        self._lanes: dict[str, anyio.Lock] = {}

    async def run(
        self,
        lane: str,
        function: Callable[..., T],
        *args: object,
        deadline: float | None = None,
        what: str = "",
    ) -> T:
        """Run a function in a thread."""
        lock = self._lanes.setdefault(lane, anyio.Lock())
        began = anyio.current_time()
        with anyio.move_on_after(deadline) as waiting:
            await lock.acquire()
        what = what or _name(function)
        if waiting.cancelled_caught:
            raise Overdue(what, deadline or 0.0)
        try:
            left = None if deadline is None else began + deadline - anyio.current_time()
            outcome = await _waited_for(function, args, left)
        finally:
            lock.release()
        if not outcome.done():
            raise Overdue(what, deadline or 0.0)
        return outcome.result()


class InlineOffloader:
    """Runs each call at once, on the loop: for virtual time, to which a thread would be a deadlock."""

    async def run(
        self,
        lane: str,
        function: Callable[..., T],
        *args: object,
        deadline: float | None = None,
        what: str = "",
    ) -> T:
        """Run a function here and now."""
        return function(*args)
