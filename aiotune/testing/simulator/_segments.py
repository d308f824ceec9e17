"""Segments of the journal on the simulated disk: the product's own, which now and then fail."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aiotune.store._segment import SegmentFile
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._threads import Killed

if TYPE_CHECKING:
    from aiotune.testing.simulator._disk import SimDisk

__all__ = ("SimSegment",)

_BLOCK = 4096
_SLOW_SYNC = 20.0


class SimSegment(SegmentFile):
    """A segment of the journal whose disk has its faults.

    Args:
        disk: The disk.
        path: Where it is.
    """

    def __init__(self, disk: SimDisk, path: Path) -> None:
        if not path.exists() and not disk.has_room_for(_BLOCK):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        super().__init__(path)
        self._disk, self._segment, self._again = disk, path, False
        disk.hold(self)

    def check(self, size: int) -> None:
        """See whether the file is still in its place; now and then it is another one."""
        disk = self._disk
        disk.commits += 1
        if disk.takes(Fault.JOURNAL_REPLACED):
            disk.replace(self._segment)
        super().check(size)

    def append(self, data: bytes) -> None:
        """Write all of it at the end, or what the disk lets through."""
        disk = self._disk
        if not self._again:
            disk.may_fill_up()
        part = data[: disk._world.plan.numbers("torn", *self._when()).randint(0, len(data))]  # noqa: SLF001
        if not disk.has_room_for(len(data)):
            self._again = True
            super().append(part)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._again = False
        if disk.takes(Fault.KILLED_BEFORE_WRITE):
            disk.die(Fault.KILLED_BEFORE_WRITE, f"{len(data)} bytes were never written")
        if disk.takes(Fault.KILLED_IN_WRITE):
            super().append(part)
            disk.die(Fault.KILLED_IN_WRITE, f"after {len(part)} of {len(data)} bytes")
        if disk.takes(Fault.WRITE_ERROR):
            super().append(part)
            disk.fail(Fault.WRITE_ERROR)
        super().append(data)

    def sync(self) -> None:
        """Return when all that was written is on the disk, if it gets there."""
        disk = self._disk
        if disk.takes(Fault.KILLED_BEFORE_SYNC):
            disk.die(Fault.KILLED_BEFORE_SYNC)
        if disk.takes(Fault.POWER_LOSS):
            disk._world.die(Fault.POWER_LOSS)  # noqa: SLF001
            disk.lose_power()
            raise Killed
        if disk.takes(Fault.SYNC_ERROR):
            disk.forget_pages(self._segment)
            disk.fail(Fault.SYNC_ERROR)
        slow = disk.takes(Fault.SLOW_SYNC)
        if slow:
            disk._world.strike(Fault.SLOW_SYNC, "disk")  # noqa: SLF001
        if (seconds := _SLOW_SYNC if slow else disk.sync_takes) > 0:
            disk.threads.sleep(seconds)
        disk.synced(self._segment)
        if disk.takes(Fault.KILLED_AFTER_SYNC):
            disk.die(Fault.KILLED_AFTER_SYNC)

    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes."""
        super().cut(size)
        self._disk.cut(self._segment, size)

    def _when(self) -> tuple[int, int]:
        return self._disk._world.life, self._disk.commits  # noqa: SLF001
