"""What can be seen of a process from outside: CPU time, output, and whether its devices work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aiotune.worker._tree import tree_cpu_seconds

__all__ = ("Activity", "DeviceWork", "measure_activity", "read_from")

_STACKS = 3000
"""Bytes of stacks that a warning quotes."""
_FRESH = 10.0
"""Seconds for which an answer of the driver says something about now."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What an attempt's processes have done so far: CPU seconds, and bytes of output."""

    cpu_seconds: float
    output_bytes: int


@dataclass(slots=True)
class DeviceWork:
    """Whether the devices of an attempt work, as their driver tells about once a second.

    A driver tells it of a whole device: where trials share one, the work of one counts for all.

    Attributes:
        looks: At how many looks one of the devices worked.
        told_at: When the driver last told of all of them, on the event loop's clock; ``None``: never,
            as of MIG instances.
    """

    looks: int = 0
    told_at: float | None = None

    def note(self, utilization: Iterable[int | None], now: float) -> None:
        """Take what one look found: percent for each device, ``None`` where the driver does not tell."""
        told = list(utilization)
        self.looks += any(told)
        if told and None not in told:
            self.told_at = now

    def is_known(self, now: float) -> bool:
        """Whether that no work was seen means that there was none."""
        return self.told_at is not None and now - self.told_at < _FRESH


def measure_activity(pid: int | None, output_log: str) -> Activity:
    """Look at what a process, and all it started, have done; of ``None`` only the output is seen."""
    try:
        size = Path(output_log).stat().st_size
    except OSError:
        size = 0
    return Activity(0.0 if pid is None else tree_cpu_seconds(pid), size)


def read_from(output_log: str, start: int) -> str:
    """Return the beginning of what was written to a log after a place; of a stack it is what matters."""
    try:
        with Path(output_log).open("rb") as file:
            file.seek(start)
            return file.read(_STACKS).decode(errors="replace").strip()
    except OSError:
        return ""
