"""A device where there is none: the memory of this process's children, for dry runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiotune_gpu import DeviceMemory, DeviceProcess
from aiotune_gpu.fake import FakeProvider, fake_devices

__all__ = ("StandIn",)


@dataclass(slots=True)
class StandIn(FakeProvider):
    """One device of 16 GiB that holds what the children of this process dirty.

    A child takes memory by allocating it and gives it back by dying, as on a
    device; so what watches a device from outside has something to see.
    """

    def __post_init__(self) -> None:
        self.present = fake_devices(1)

    def memory(self, uuid: str) -> DeviceMemory:
        """Return what the children have."""
        held = sum(process.used or 0 for process in self.processes(uuid))
        total = self.present[0].total_bytes
        return DeviceMemory(total, held, max(0, total - held))

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the children, theirs included."""
        return [DeviceProcess(pid, _anonymous(pid)) for pid in _descendants(os.getpid())]


def _descendants(pid: int) -> list[int]:
    children = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += [int(word) for word in tasks.read_text().split()]
        except OSError:  # the thread has ended
            continue
    return [*children, *(one for child in children for one in _descendants(child))]


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)
