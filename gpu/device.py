"""What a device is, and how to ask for devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ("ComputeMode", "Device", "DeviceMemory", "DeviceProcess", "DeviceProvider")


class ComputeMode(StrEnum):
    """Who may use a device."""

    DEFAULT = "default"
    EXCLUSIVE = "exclusive"
    """One process at a time."""
    PROHIBITED = "prohibited"
    """No process."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a MIG instance of one.

    Attributes:
        uuid: ``GPU-...`` or ``MIG-...``; the only name that stays.
        index: Position in PCI order, from 0; of a MIG instance, its parent's.
        name: The model.
        total_bytes: All its memory.
        mode: Who may use it.
        mig_parent: UUID of the GPU that a MIG instance is cut from.
        numa_node: Nearest NUMA node, if known.
        cpus: The CPUs next to it; empty if unknown.
    """

    uuid: str
    index: int
    name: str
    total_bytes: int
    mode: ComputeMode = ComputeMode.DEFAULT
    mig_parent: str | None = None
    numa_node: int | None = None
    cpus: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """A device's memory at one moment, in bytes.

    ``reserved`` belongs to the driver; ``total = reserved + used + free``.
    """

    total: int
    used: int
    free: int
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class DeviceProcess:
    """A process on a device; ``used`` is ``None`` where the driver does not tell.

    In a container ``pid`` may be the host's number for it.
    """

    pid: int
    used: int | None


class DeviceProvider(Protocol):
    """Answers questions about devices. Synchronous; a call may take milliseconds."""

    def devices(self) -> Sequence[Device]:
        """Return all devices in PCI order, MIG instances in place of their parents.

        A device that does not answer is left out, and the others keep their indices.

        Raises:
            NvmlUnavailable: There is no driver.
            DeviceLost: There are devices, and none of them answers.
        """
        ...

    def memory(self, uuid: str) -> DeviceMemory:
        """Return a device's memory.

        Raises:
            DeviceLost: The device does not answer.
        """
        ...

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the processes on a device; empty where the driver does not tell.

        Raises:
            DeviceLost: The device does not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...
