"""Time as a dependency."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ("Clock", "ManualClock", "SystemClock")


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return Unix time in seconds; may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved.

    Args:
        now: Unix time at the start.
    """

    def __init__(self, now: float = 1_000_000_000.0) -> None:
        self._start = now
        self._passed = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds

    def now(self) -> float:
        """Return the start plus what has passed."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Return what has passed."""
        return self._passed
