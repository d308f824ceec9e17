"""A lock for the methods of an oracle of one's own."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import anyio

__all__ = ("outside_the_lock", "synchronized")

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
_NAME = "_synchronized_turns"


class _Turns:
    """A lock that its task may take again."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None
        self._depth = 0

    async def take(self) -> None:
        """Wait for the lock, unless this task has it already."""
        self._belong_to_this_loop()
        task = asyncio.current_task()
        if self._owner is not task or task is None:
            await self._lock.acquire()
            self._owner = task
        self._depth += 1

    def release(self) -> None:
        """Undo one :meth:`take`."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()

    def give_up(self) -> int:
        """Undo every :meth:`take` of this task; return how many there were."""
        self._belong_to_this_loop()
        if self._owner is None or self._owner is not asyncio.current_task():
            return 0
        depth, self._depth, self._owner = self._depth, 0, None
        self._lock.release()
        return depth

    async def take_back(self, depth: int) -> None:
        """Take the lock as often as it was given up, even if this task is cancelled meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while True:
                try:
                    await self._lock.acquire()
                    break
                except asyncio.CancelledError as error:
                    cancelled = error
        self._owner, self._depth = asyncio.current_task(), depth
        if cancelled is not None:
            raise cancelled

    def _belong_to_this_loop(self) -> None:
        # As of an oracle's other locks: it may see one asyncio.run() after the other.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
            self._owner, self._depth = None, 0


@overload
def synchronized(
    func: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]: ...
@overload
def synchronized(
    func: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]: ...
def synchronized(
    func: Callable[Concatenate[S, P], Any],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, Any]]:
    """Let one task at a time run the decorated methods of an oracle.

    A decorated method may call another one of the same oracle, or the one that it
    overrides. Oracles do not wait for each other. An exception gives the lock back.
    Within :meth:`Oracle.create_trial`, which may wait for results of other trials,
    others can have the lock, or those results could not be told.

    A method that was a plain function is a coroutine function afterwards, since
    only a coroutine can wait for its turn: ``await`` it where you call it.

    Args:
        func: A method, coroutine or plain.

    Returns:
        The method as a coroutine function.
    """

    @functools.wraps(func)
    async def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        # The lock lives and dies with its oracle.
        turns: _Turns = vars(self).setdefault(_NAME, _Turns())
        await turns.take()
        try:
            result = func(self, *args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        finally:
            turns.release()

    return method


def outside_the_lock(
    func: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Let a method of an oracle run without the lock of :func:`synchronized`, if its task has it.

    For what waits for other tasks that may need the lock. It is taken back afterwards.
    """

    @functools.wraps(func)
    async def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        turns: _Turns | None = vars(self).get(_NAME)
        depth = turns.give_up() if turns is not None else 0
        try:
            return await func(self, *args, **kwargs)
        finally:
            if turns is not None and depth:
                await turns.take_back(depth)

    return method
