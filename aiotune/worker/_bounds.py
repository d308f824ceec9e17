"""Bounds what a piece of work may take of this process's time and memory."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

__all__ = ("TooSlow", "memory_bound", "time_bound")

_AGAIN = 1.0  # seconds


class TooSlow(BaseException):
    """The time is up. Not an ``Exception``, so that the program's ``except`` lets it pass."""


@contextlib.contextmanager
def time_bound(seconds: float) -> Iterator[None]:
    """Raise :class:`TooSlow` in the middle of work that takes longer.

    It needs the main thread, and waits for the end of a single call into
    native code. It is raised again every second until the work is left: back
    ends hold bare ``except`` clauses that go on in another way.
    """
    before = signal.signal(signal.SIGALRM, _ring)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)
        signal.signal(signal.SIGALRM, before)


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow


@contextlib.contextmanager
def memory_bound(more: int | None) -> Iterator[None]:
    """Let the process grow by ``more`` bytes of address space; ``None``: as it likes.

    Beyond it an allocation fails: a ``MemoryError``, a back end's own error,
    or, in native code that expects no failure, the end of the process. Not for
    processes that use a GPU: its driver reserves as much address space as host
    and devices have memory.
    """
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    if more is None:
        yield
        return
    bound = _address_space() + more
    for limit in (before, hard):
        if limit != resource.RLIM_INFINITY:
            bound = min(bound, limit)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
