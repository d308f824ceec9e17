"""An event loop on virtual time: its clock jumps to the next timer when nothing is ready."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

__all__ = ("Deadlock", "Livelock", "VirtualTimeLoop", "run_virtual")

T = TypeVar("T")


class Deadlock(Exception):
    """Every task is blocked and no timer is pending."""


class Livelock(Exception):
    """The loop went round more often than a test ever should."""


class _JumpingSelector(selectors.BaseSelector):
    """Waits for nothing: instead of sleeping, the loop's clock is moved."""

    def __init__(self, max_steps: int) -> None:
        self.loop: VirtualTimeLoop | None = None
        self._steps, self._max_steps = 0, max_steps
        self._keys: dict[int, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._steps += 1
        if self._steps > self._max_steps:
            self._steps = 0  # as many again for the tasks to be cancelled
            raise Livelock(f"The loop went round more than {self._max_steps} times.")
        if timeout is None:
            raise Deadlock("Every task is blocked and no timer is pending.")
        if timeout > 0 and self.loop is not None:
            self.loop.advance(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, fd, events, data)
        self._keys[fd] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in which a day of sleeping takes no time.

    Work outside the loop (threads, processes, sockets) is invisible to it: a
    wait for such work is a :class:`Deadlock`.

    Args:
        max_steps: How often the loop may go round before it is a :class:`Livelock`.
    """

    def __init__(self, max_steps: int = 1_000_000) -> None:
        self._now = 0.0
        selector = _JumpingSelector(max_steps)
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._now += seconds


def run_virtual(coroutine: Coroutine[Any, Any, T], *, max_steps: int = 1_000_000) -> T:
    """Run a coroutine to its end on virtual time.

    Raises:
        Deadlock: Every task is blocked and no timer is pending.
        Livelock: The loop went round too often.
    """
    loop = VirtualTimeLoop(max_steps)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(coroutine)
