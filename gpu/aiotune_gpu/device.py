"""What a device is, and how to ask for devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = (
    "ComputeMode",
    "Device",
    "DeviceFault",
    "DeviceHealth",
    "DeviceMemory",
    "DeviceProcess",
    "DeviceProvider",
)


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
        numa_node: The NUMA node of the host whose CPUs and memory are nearest,
            as the kernel numbers it; ``None`` if unknown. Never the node that
            some hosts make of the GPU's own memory.
        cpus: The CPUs next to it, as the kernel numbers them; empty if unknown.
            This process may not be allowed to run on all of them.
        gpu_instance: Of a MIG instance, the number of its GPU instance within its parent.
        compute_instance: Of a MIG instance, its number within its GPU instance.
        cores: How many CUDA cores it has, all of its GPU's; ``None`` if unknown.
        unified: Whether its memory is the host's, with which it is then measured.
    """

    uuid: str
    index: int
    name: str
    total_bytes: int
    mode: ComputeMode = ComputeMode.DEFAULT
    mig_parent: str | None = None
    numa_node: int | None = None
    cpus: frozenset[int] = frozenset()
    gpu_instance: int | None = None
    compute_instance: int | None = None
    cores: int | None = None
    unified: bool = False


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


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """How a device is at one moment; of a MIG instance, how its GPU is.

    What it means is :func:`aiotune_gpu.health.verdict`'s business.

    Attributes:
        lost: It does not answer.
        reset_required: The driver says that it must be reset, or the host restarted.
        uncorrected_ecc: Memory errors since the driver was loaded that could
            not be corrected; ``None`` if the device does not count them.
        remap_failed: A bad row of its memory could not be replaced.
        remap_pending: A bad row will be replaced at the next reset.
        pages_pending: Bad pages will be retired at the next reset (before Ampere).
        utilization: Percent of the last second or so in which something ran on
            it; ``None`` if unknown, as for MIG.
    """

    lost: bool = False
    reset_required: bool = False
    uncorrected_ecc: int | None = None
    remap_failed: bool = False
    remap_pending: bool = False
    pages_pending: bool = False
    utilization: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """Something that went wrong on a device.

    Attributes:
        uuid: Which device.
        xid: The driver's number for it; ``None``: the device does not answer any more.
    """

    uuid: str
    xid: int | None


class DeviceProvider(Protocol):
    """Answers questions about devices. Synchronous; a call may take milliseconds.

    One thread may wait in :meth:`faults` while another one asks the other
    questions; :meth:`close` ends the waiting.
    """

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
            NvmlUnavailable: The driver is gone.
            GpuError: It answered with an error of another kind.
        """
        ...

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the processes on a device; empty where the driver does not tell.

        Raises:
            DeviceLost: The device does not answer.
            NvmlUnavailable: The driver is gone.
            GpuError: It answered with an error of another kind.
        """
        ...

    def health(self, uuid: str) -> DeviceHealth:
        """Return how a device is; one that does not answer, or is unknown, is ``lost``.

        Raises:
            NvmlUnavailable: The driver is gone.
            GpuError: It answered with an error of another kind.
        """
        ...

    def faults(self, timeout: float) -> Sequence[DeviceFault]:
        """Wait for faults of any device, oldest first.

        Those since the last call, the first call starting the watch. A fault
        of a whole GPU is told for each of its MIG instances. A device that
        stops answering is told once. Where the driver tells no faults, as in
        some virtual machines, this waits all the same.

        Args:
            timeout: Seconds to wait for the first fault; 0: do not wait.

        Returns:
            The faults; empty after the time, or if closed while waiting.

        Raises:
            NvmlUnavailable: It is closed, or the driver is gone.
        """
        ...

    def close(self) -> None:
        """Let go of the driver; waits until :meth:`faults` has returned."""
        ...
