"""Asks the NVIDIA driver about devices."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

from aiotune_gpu.device import (
    ComputeMode,
    Device,
    DeviceFault,
    DeviceHealth,
    DeviceMemory,
    DeviceProcess,
)
from aiotune_gpu.driver import Driver
from aiotune_gpu.errors import DeviceLost, GpuError, NvmlUnavailable
from aiotune_gpu.unified import MEMINFO, host_memory
from aiotune_gpu.watch import FaultWatch

__all__ = ("NvmlProvider",)

_WORD = 64
_CPU_WORDS = 8192 // _WORD
"""As many CPUs as Linux can have; those that are offline have numbers too."""
_NODE_WORDS = 1024 // _WORD
_RECOVERY_ACTION = 230
"""NVML_FI_DEV_GET_GPU_RECOVERY_ACTION; older modules do not name it."""
_NEEDS_RESET = {1, 2, 4, 6, 7}
"""Reset, reboot, drain and reset, bus reset, system reboot. 3 and 5 are about peers."""
_TRIES = 3


class NvmlProvider:
    """Answers by NVML, in this process, through the module ``pynvml`` of the distribution ``nvidia-ml-py``.

    A call that the driver does not return from never returns here either, and holds up the exit
    of the process; :class:`gpu.isolated.IsolatedProvider` asks in a process of its own.

    Args:
        sysfs: Where the kernel tells about PCI devices.
        skip: Indices of GPUs that are neither listed nor watched for faults.
        meminfo: Where it tells of the host's memory, for devices that have none of their own.

    Raises:
        NvmlUnavailable: There is no driver, it does not fit its library, this
            process may not ask it, or ``pynvml`` is another distribution's.
    """

    def __init__(
        self, *, sysfs: Path = Path("/sys"), meminfo: Path = MEMINFO, skip: Container[int] = ()
    ) -> None:
        self._driver = Driver()
        self._skip = skip
        self._nvml = self._driver.nvml
        self._sysfs, self._meminfo = sysfs, meminfo
        self._watch = FaultWatch(self._driver, self.devices)

    # ── the questions of DeviceProvider ────────────────────────────────────

    def devices(self) -> Sequence[Device]:
        """Return all devices in PCI order, MIG instances in place of their parents."""
        found: list[Device] = []
        failed: GpuError | None = None
        for index in range(self.count()):
            if index in self._skip:
                continue
            try:
                found += self.at(index)
            except NvmlUnavailable:
                raise
            except GpuError as error:  # one sick GPU does not take the others along
                failed = error
        if failed is not None and not found:
            raise DeviceLost(str(failed)) from failed
        return found

    def memory(self, uuid: str) -> DeviceMemory:
        """Return a device's memory."""
        return self._memory(uuid, self._handle(uuid))

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the compute processes on a device, clients of MPS among them."""
        # With their versions: the names without one turn a symbol that the driver
        # lacks into an error that is none of NVML's.
        nvml, handle = self._nvml, self._handle(uuid)
        listed = self._listed(uuid, nvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)
        if listed is None:  # drivers before 510
            listed = self._listed(uuid, nvml.nvmlDeviceGetComputeRunningProcesses_v2, handle)
        clients = self._listed(uuid, nvml.nvmlDeviceGetMPSComputeRunningProcesses_v3, handle)
        found: dict[int, int | None] = {}
        for process in [*(listed or []), *(clients or [])]:
            # A container may be told of a process of number 0, or that one
            # uses nothing, which no process on a device does.
            if process.pid:
                found[process.pid] = process.usedGpuMemory or found.get(process.pid)
        return [DeviceProcess(pid, used) for pid, used in found.items()]

    def health(self, uuid: str) -> DeviceHealth:
        """Return how a device is; of a MIG instance, how its GPU is."""
        try:
            return self._health(uuid)
        except DeviceLost as error:
            return DeviceHealth(lost=True, reset_required=error.reset_required)

    def faults(self, timeout: float) -> Sequence[DeviceFault]:
        """Wait for critical Xids, and for devices that stop answering."""
        return self._watch.wait(timeout)

    def close(self) -> None:
        """Let go of the driver."""
        self._watch.close()
        self._driver.close()

    # ── which devices there are ────────────────────────────────────────────

    def count(self) -> int:
        """Return how many GPUs the driver has, those that do not answer among them."""
        return int(self._driver.ask("the driver", self._nvml.nvmlDeviceGetCount))

    def at(self, index: int) -> list[Device]:
        """Return the GPU at a place in PCI order, or its MIG instances.

        Raises:
            DeviceLost: It does not answer.
            NvmlUnavailable: The driver is gone.
            GpuError: It answered with an error of another kind.
        """
        what = f"GPU {index}"
        handle = self._driver.ask_handle(what, self._nvml.nvmlDeviceGetHandleByIndex, index)
        device = self._device(handle, index)
        return self._instances(handle, device) or [device]

    def _handle(self, uuid: str) -> Any:
        return self._driver.ask_handle(uuid, self._nvml.nvmlDeviceGetHandleByUUID, uuid)

    def _device(self, handle: Any, index: int) -> Device:
        nvml, driver, what = self._nvml, self._driver, f"GPU {index}"
        uuid = _text(driver.ask(what, nvml.nvmlDeviceGetUUID, handle))
        own = self._own_memory(uuid, handle)
        return Device(
            uuid=uuid,
            index=index,
            name=_text(driver.ask(what, nvml.nvmlDeviceGetName, handle)),
            total_bytes=(own or self._memory(uuid, handle)).total,
            mode=_mode(driver.optional(what, nvml.nvmlDeviceGetComputeMode, handle)),
            numa_node=self._numa_node(what, handle),
            cpus=self._cpus(what, handle),
            cores=driver.optional(what, nvml.nvmlDeviceGetNumGpuCores, handle),
            unified=own is None,
        )

    def _instances(self, handle: Any, parent: Device) -> list[Device]:
        nvml, driver = self._nvml, self._driver
        mode = driver.optional(parent.uuid, nvml.nvmlDeviceGetMigMode, handle)
        if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
        found = []
        for slot in range(driver.ask(parent.uuid, nvml.nvmlDeviceGetMaxMigDeviceCount, handle)):
            instance = driver.optional(
                parent.uuid, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, slot
            )
            if instance is not None:  # else an empty slot
                found.append(self._instance(instance, parent, slot))
        return found

    def _instance(self, handle: Any, parent: Device, slot: int) -> Device:
        nvml, driver = self._nvml, self._driver
        uuid = _text(driver.ask(parent.uuid, nvml.nvmlDeviceGetUUID, handle))
        return Device(
            uuid=uuid,
            index=parent.index,
            name=f"{parent.name} MIG {slot}",
            total_bytes=self._memory(uuid, handle).total,
            mode=parent.mode,
            mig_parent=parent.uuid,
            numa_node=parent.numa_node,
            cpus=parent.cpus,
            gpu_instance=driver.optional(uuid, nvml.nvmlDeviceGetGpuInstanceId, handle),
            compute_instance=driver.optional(uuid, nvml.nvmlDeviceGetComputeInstanceId, handle),
            cores=parent.cores,
        )

    def _cpus(self, what: str, handle: Any) -> frozenset[int]:
        function = self._nvml.nvmlDeviceGetCpuAffinity
        return _bits(self._driver.optional(what, function, handle, _CPU_WORDS) or [])

    def _numa_node(self, what: str, handle: Any) -> int | None:
        # Not nvmlDeviceGetNumaNodeId: that exists where the GPU is a node of
        # its own (Grace), and names that node, which has no CPU.
        nvml = self._nvml
        pci = self._driver.optional(what, nvml.nvmlDeviceGetPciInfo, handle)
        if pci is not None and (node := self._node_in_sysfs(_text(pci.busId))) is not None:
            return node
        scope = nvml.NVML_AFFINITY_SCOPE_NODE
        function = nvml.nvmlDeviceGetMemoryAffinity
        nodes = _bits(self._driver.optional(what, function, handle, _NODE_WORDS, scope) or [])
        return min(nodes) if len(nodes) == 1 else None

    def _node_in_sysfs(self, bus: str) -> int | None:
        domain, _, place = bus.lower().partition(":")
        try:
            # NVML writes eight digits of the domain, the kernel at least four.
            name = f"{int(domain, 16):04x}:{place}"
            node = int((self._sysfs / "bus/pci/devices" / name / "numa_node").read_text())
        except (OSError, ValueError):
            return None
        return node if node >= 0 else None  # -1: the firmware does not tell

    # ── what they are doing ────────────────────────────────────────────────

    def _memory(self, what: str, handle: Any) -> DeviceMemory:
        memory = self._own_memory(what, handle) or host_memory(self._meminfo)
        if memory is None:
            raise GpuError(f"Neither the driver nor the kernel tells what memory {what} has.")
        return memory

    def _own_memory(self, what: str, handle: Any) -> DeviceMemory | None:
        """Return a device's memory; ``None`` if it has none of its own, as on DGX Spark and Jetson."""
        nvml, driver = self._nvml, self._driver
        info = driver.optional(what, nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
        if info is not None:
            return DeviceMemory(info.total, info.used, info.free, info.reserved)
        # Drivers before 515 know only the first form, which counts what the
        # driver keeps as used.
        try:
            info = driver.ask(what, nvml.nvmlDeviceGetMemoryInfo, handle)
        except GpuError as error:
            cause = error.__cause__
            if isinstance(cause, Exception) and driver.is_error(cause, ["NOT_SUPPORTED"]):
                return None
            raise
        return DeviceMemory(info.total, info.used, info.free)

    def _listed(self, what: str, function: Callable[..., Any], handle: Any) -> list[Any] | None:
        for _ in range(_TRIES):
            try:
                return self._driver.optional(what, function, handle)
            except GpuError as error:
                # More processes started between asking how many and asking which.
                cause = error.__cause__
                if not isinstance(cause, Exception):
                    raise
                if not self._driver.is_error(cause, ["INSUFFICIENT_SIZE"]):
                    raise
        raise GpuError(f"The processes on {what} change too fast to be listed.")

    def _health(self, uuid: str) -> DeviceHealth:
        nvml, driver = self._nvml, self._driver
        handle = self._handle(uuid)
        if uuid.startswith("MIG-"):
            handle = driver.ask(uuid, nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle)
        self._memory(uuid, handle)  # the rest is optional, and a device that is lost must say so
        kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        rows = driver.optional(uuid, nvml.nvmlDeviceGetRemappedRows, handle)
        pages = driver.optional(uuid, nvml.nvmlDeviceGetRetiredPagesPendingStatus, handle)
        rates = driver.optional(uuid, nvml.nvmlDeviceGetUtilizationRates, handle)
        return DeviceHealth(
            reset_required=self._recovery_action(uuid, handle) in _NEEDS_RESET,
            uncorrected_ecc=driver.optional(
                uuid, nvml.nvmlDeviceGetTotalEccErrors, handle, kind, since
            ),
            remap_failed=bool(rows and rows[3]),
            remap_pending=bool(rows and rows[2]),
            pages_pending=bool(pages),
            utilization=None if rates is None else int(rates.gpu),
        )

    def _recovery_action(self, what: str, handle: Any) -> int:
        function = self._nvml.nvmlDeviceGetFieldValues
        values = self._driver.optional(what, function, handle, [_RECOVERY_ACTION])
        if not values or values[0].nvmlReturn != self._nvml.NVML_SUCCESS:
            return 0  # drivers before 565
        return int(values[0].value.uiVal)


def _bits(masks: Sequence[int]) -> frozenset[int]:
    """Return the numbers of the bits that are set in words of 64."""
    return frozenset(
        word * _WORD + bit
        for word, mask in enumerate(masks)
        for bit in range(_WORD)
        if mask >> bit & 1
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _mode(value: int | None) -> ComputeMode:
    # 1 was "exclusive thread" until CUDA 8; 3 is "exclusive process".
    return {1: ComputeMode.EXCLUSIVE, 2: ComputeMode.PROHIBITED, 3: ComputeMode.EXCLUSIVE}.get(
        value or 0, ComputeMode.DEFAULT
    )
