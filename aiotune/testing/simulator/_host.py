"""Whom the kernel of a simulated host kills for want of memory, and where it says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiotune.testing.simulator._seams import Replacement
from aiotune.worker import _oom_kills

__all__ = ("Kills",)

_GROUP = Path("/simulated/group")


class Kills:
    """The counts of one host.

    Attributes:
        of_ours: Processes of the search that were killed.
        of_all: All processes that were.
    """

    def __init__(self) -> None:
        self.of_ours = self.of_all = 0

    def kill_ours(self) -> None:
        """Count a process of the search."""
        self.of_ours += 1
        self.of_all += 1

    def kill_another(self) -> None:
        """Count a process of somebody else."""
        self.of_all += 1

    def seams(self) -> list[Replacement]:
        """Return what lets the product's counting read these counts."""
        return [(_oom_kills, "groups_of", self._groups), (_oom_kills, "read", self._read)]

    def _groups(self, controller: str) -> Iterator[Path]:
        yield _GROUP

    def _read(self, path: Path) -> str:
        count = self.of_ours if path.parent == _GROUP else self.of_all
        return "" if path.name == "memory.oom_control" else f"oom_kill {count}"
