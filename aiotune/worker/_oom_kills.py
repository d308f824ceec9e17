"""Counts whom the kernel kills for want of memory, where that may be a trial's worker."""

from __future__ import annotations

import time
from pathlib import Path

from aiotune._cgroups import groups_of, read

__all__ = ("OomKills",)

_VMSTAT = Path("/proc/vmstat")
_MEMORABLE = 30.0
"""Seconds; to take the memory of a large process apart takes some, and its end is seen afterwards."""


class OomKills:
    """Counts the processes of this control group that the kernel kills for want of memory, from now on.

    The narrowest group that counts is asked, since a kill elsewhere on the host says nothing of
    this program's trials; the whole host only where no group counts.
    """

    def __init__(self) -> None:
        groups = list(groups_of("memory"))
        files = [
            group / name for group in groups for name in ("memory.events", "memory.oom_control")
        ]
        self._file = next((f for f in files if _oom_kills(f) is not None), _VMSTAT)
        self._before = self._lately = self._count()
        self._looked = time.monotonic()

    def look(self) -> None:
        """Forget kills that are old; for a process that waits, to be called now and then."""
        if time.monotonic() - self._looked >= _MEMORABLE:
            self._before, self._lately = self._lately, self._count()
            self._looked = time.monotonic()

    def so_far(self) -> int:
        """Return how many there were; without :meth:`look` since the beginning, else in the last minute."""
        return max(0, self._count() - self._before)

    def _count(self) -> int:
        return _oom_kills(self._file) or 0


def _oom_kills(file: Path) -> int | None:
    """Return the number that all three files give the same name."""
    for line in read(file).splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill" and count.isdigit():
            return int(count)
    return None
