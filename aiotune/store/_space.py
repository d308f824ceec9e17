"""Waiting for space: a full disk pauses the journal, anything else ends it."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiotune._disk import free_bytes, is_full

__all__ = ("DiskPause", "SpaceWaiter", "free_bytes", "is_full")

PATIENCE = 3600.0
"""Seconds that a full disk is waited for."""
LAST_PATIENCE = 1.0
"""Seconds that it is waited for once the project is being closed: Ctrl-C must not hang."""
_FIRST, _LONGEST = 0.05, 5.0
_REPEAT = 60.0
"""Seconds after which it is told again."""


@dataclass(frozen=True, slots=True)
class DiskPause:
    """That the journal waits for space, or has waited.

    Attributes:
        path: The segment that cannot grow.
        reason: The system's words: the disk is full, or a quota is used up.
        free: Bytes that are free for this user, -1 if that is not known.
        waited: Seconds since the first failure.
        over: Whether there was space, and the search goes on.
    """

    path: Path
    reason: str
    free: int
    waited: float
    over: bool


class SpaceWaiter:
    """Repeats a step until there is space for it.

    Args:
        tell: Called in the waiting thread: at the first failure, then each minute, and at the end.
        last_resort: Called once the project is being closed and there still is no space; makes some.

    A step must be able to run again after it has failed at any point.
    """

    def __init__(
        self, tell: Callable[[DiskPause], None], last_resort: Callable[[], None] = lambda: None
    ) -> None:
        self._tell, self._last_resort = tell, last_resort
        self._closing = threading.Event()

    def close(self) -> None:
        """Be less patient from now on: somebody waits for the end."""
        self._closing.set()

    def run(self, step: Callable[[], None], path: Path) -> None:
        """Run a step, again and again while the disk is full.

        Args:
            step: What needs space.
            path: For which file.

        Raises:
            OSError: It failed for another reason, or the disk stayed full for too long.
        """
        began: float | None = None
        closing: float | None = None
        told, delay = -math.inf, _FIRST
        while True:
            try:
                step()
            except OSError as error:
                if not is_full(error):
                    raise
                now = time.monotonic()
                began = now if began is None else began
                if closing is None and self._closing.is_set():
                    # However long it has waited by now, this may be the space that it waits for.
                    closing = now
                    self._last_resort()
                    continue
                if now - began >= PATIENCE or (
                    closing is not None and now - closing >= LAST_PATIENCE
                ):
                    raise
                if now - told >= _REPEAT:
                    told = now
                    self._tell(_pause(path, error, now - began))
            else:
                break
            self._pause(delay)
            delay = min(2 * delay, _LONGEST)
        if began is not None:
            self._tell(_pause(path, None, time.monotonic() - began))

    def _pause(self, delay: float) -> None:
        if self._closing.is_set():
            # Whoever closes waits for this thread: no point in looking less and less often.
            threading.Event().wait(_FIRST)
        else:
            self._closing.wait(delay)


def _pause(path: Path, error: OSError | None, waited: float) -> DiskPause:
    reason = "" if error is None else os.strerror(error.errno or 0)
    return DiskPause(path, reason, free_bytes(path.parent), waited, over=error is None)
