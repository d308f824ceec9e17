"""How fast a worker may speak: a trial that reports in a tight loop must not starve the others."""

from __future__ import annotations

import anyio

__all__ = ("Pace",)

PER_SECOND = 500
"""Messages that a worker may send each second; one for each batch of a fast training is less."""
_SAVED = 4
"""Seconds of silence that may be made up for at once."""


class Pace:
    """Counts a worker's messages, and says how long to leave the next ones unread.

    What is not read fills the socket, and then the worker keeps only its newest
    report. So nothing that matters is lost, and neither the loop nor the journal
    is flooded.
    """

    def __init__(self) -> None:
        self._left = float(PER_SECOND * _SAVED)
        self._at: float | None = None

    def delay(self, messages: int) -> float:
        """Count messages that were read; return for how many seconds no more should be."""
        now = anyio.current_time()
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._left = min(self._left + passed * PER_SECOND, float(PER_SECOND * _SAVED)) - messages
        return max(0.0, -self._left / PER_SECOND)
