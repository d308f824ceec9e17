"""NVML, let go of whenever this process forks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aiotune_gpu import Device, DeviceFault, DeviceHealth, DeviceMemory, DeviceProcess, NvmlProvider

__all__ = ("ForkableNvml",)


class ForkableNvml:
    """A provider that a fork of this process does not inherit begun.

    Torch, and aiotune after a failure, ask NVML from within a trial. There it
    is their first question: the process that trials are forked from asks none.
    So it has to be here, where the process that forks also measures.
    """

    def __init__(self) -> None:
        self._begun: NvmlProvider | None = None
        os.register_at_fork(before=self.close)

    def devices(self) -> Sequence[Device]:
        """Return all devices."""
        return self._provider().devices()

    def memory(self, uuid: str) -> DeviceMemory:
        """Return a device's memory."""
        return self._provider().memory(uuid)

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the processes on a device."""
        return self._provider().processes(uuid)

    def health(self, uuid: str) -> DeviceHealth:
        """Return how a device is."""
        return self._provider().health(uuid)

    def faults(self, timeout: float) -> Sequence[DeviceFault]:
        """Wait for faults."""
        return self._provider().faults(timeout)

    def close(self) -> None:
        """Let go of the driver until the next question."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.close()

    def _provider(self) -> NvmlProvider:
        if self._begun is None:
            self._begun = NvmlProvider()
        return self._begun
