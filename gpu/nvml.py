"""The only file that touches NVML."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gpu.device import ComputeMode, Device, DeviceMemory, DeviceProcess
from gpu.errors import DeviceLost, GpuError, NvmlUnavailable

__all__ = ("NvmlProvider",)

T = TypeVar("T")
_WORD = 64


class NvmlProvider:
    """Asks the NVIDIA driver, through the module ``pynvml`` of the distribution ``nvidia-ml-py``.

    Raises:
        NvmlUnavailable: There is no driver, it does not fit its library, this
            process may not ask it, or ``pynvml`` is another distribution's.
    """

    def __init__(self) -> None:
        self._nvml = _module()
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            raise NvmlUnavailable(f"The NVIDIA driver cannot be asked: {error}.") from error

    def devices(self) -> Sequence[Device]:
        """Return all devices in PCI order, MIG instances in place of their parents."""
        found: list[Device] = []
        lost: DeviceLost | None = None
        for index in range(self._ask("the driver", self._nvml.nvmlDeviceGetCount)):
            try:
                found += self._at(index)
            except DeviceLost as error:  # one GPU off the bus does not take the others along
                lost = error
        if lost is not None and not found:
            raise lost
        return found

    def memory(self, uuid: str) -> DeviceMemory:
        """Return a device's memory."""
        handle = self._ask(uuid, self._nvml.nvmlDeviceGetHandleByUUID, uuid)
        return self._memory(uuid, handle)

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the compute processes on a device."""
        nvml = self._nvml
        handle = self._ask(uuid, nvml.nvmlDeviceGetHandleByUUID, uuid)
        listed = self._optional(uuid, nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
        return [DeviceProcess(process.pid, process.usedGpuMemory) for process in listed]

    def close(self) -> None:
        """Let go of the driver."""
        self._optional("the driver", self._nvml.nvmlShutdown)

    def _at(self, index: int) -> list[Device]:
        handle = self._ask(f"GPU {index}", self._nvml.nvmlDeviceGetHandleByIndex, index)
        device = self._device(handle, index)
        return self._instances(handle, device) or [device]

    def _device(self, handle: Any, index: int) -> Device:
        nvml, what = self._nvml, f"GPU {index}"
        uuid = _text(self._ask(what, nvml.nvmlDeviceGetUUID, handle))
        return Device(
            uuid=uuid,
            index=index,
            name=_text(self._ask(what, nvml.nvmlDeviceGetName, handle)),
            total_bytes=self._memory(uuid, handle).total,
            mode=_mode(self._optional(what, nvml.nvmlDeviceGetComputeMode, handle)),
            numa_node=self._optional(what, nvml.nvmlDeviceGetNumaNodeId, handle),
            cpus=self._cpus(what, handle),
        )

    def _instances(self, handle: Any, parent: Device) -> list[Device]:
        nvml = self._nvml
        mode = self._optional(parent.uuid, nvml.nvmlDeviceGetMigMode, handle)
        if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
        found = []
        most = self._ask(parent.uuid, nvml.nvmlDeviceGetMaxMigDeviceCount, handle)
        for slot in range(most):
            instance = self._optional(
                parent.uuid, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, slot
            )
            if instance is None:  # an empty slot
                continue
            uuid = _text(self._ask(parent.uuid, nvml.nvmlDeviceGetUUID, instance))
            total = self._memory(uuid, instance).total
            name = f"{parent.name} MIG {slot}"
            found.append(
                Device(
                    uuid,
                    parent.index,
                    name,
                    total,
                    parent.mode,
                    parent.uuid,
                    parent.numa_node,
                    parent.cpus,
                )
            )
        return found

    def _memory(self, what: str, handle: Any) -> DeviceMemory:
        nvml = self._nvml
        info = self._optional(what, nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
        if info is not None:
            return DeviceMemory(info.total, info.used, info.free, info.reserved)
        # Drivers before 515 know only the first form, which counts what the
        # driver keeps as used.
        info = self._ask(what, nvml.nvmlDeviceGetMemoryInfo, handle)
        return DeviceMemory(info.total, info.used, info.free)

    def _cpus(self, what: str, handle: Any) -> frozenset[int]:
        words = ((os.cpu_count() or 1) + _WORD - 1) // _WORD
        masks = self._optional(what, self._nvml.nvmlDeviceGetCpuAffinity, handle, words) or []
        return frozenset(
            word * _WORD + bit
            for word, mask in enumerate(masks)
            for bit in range(_WORD)
            if mask >> bit & 1
        )

    def _ask(self, what: str, function: Callable[..., T], *args: Any) -> T:
        try:
            return function(*args)
        except self._nvml.NVMLError as error:
            lost = {self._nvml.NVML_ERROR_GPU_IS_LOST, self._nvml.NVML_ERROR_NOT_FOUND}
            kind = DeviceLost if error.value in lost else GpuError
            raise kind(f"Asking {what} failed: {error}.") from error

    def _optional(self, what: str, function: Callable[..., T], *args: Any) -> T | None:
        """Ask for what a device, a driver or a container may not tell."""
        nvml = self._nvml
        try:
            return function(*args)
        except nvml.NVMLError as error:
            untold = {
                nvml.NVML_ERROR_NOT_SUPPORTED,
                nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
                nvml.NVML_ERROR_NO_PERMISSION,
                nvml.NVML_ERROR_NOT_FOUND,
                nvml.NVML_ERROR_INVALID_ARGUMENT,
                nvml.NVML_ERROR_UNINITIALIZED,
                nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
            }
            if error.value in untold:
                return None
            if error.value == nvml.NVML_ERROR_GPU_IS_LOST:
                raise DeviceLost(f"{what} has fallen off the bus: {error}.") from error
            raise GpuError(f"Asking {what} failed: {error}.") from error


def _module() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise NvmlUnavailable(f"The module pynvml is missing: {error}.") from error
    if not hasattr(pynvml, "_nvmlGetFunctionPointer") or not hasattr(pynvml, "nvmlMemory_v2"):
        raise NvmlUnavailable(
            f"The module pynvml at {getattr(pynvml, '__file__', '?')} is not that of nvidia-ml-py. "
            "Remove the distributions pynvml and nvidia-ml-py3, then install nvidia-ml-py again."
        )
    return pynvml


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _mode(value: int | None) -> ComputeMode:
    # 1 was "exclusive thread" until CUDA 8; 3 is "exclusive process".
    return {1: ComputeMode.EXCLUSIVE, 2: ComputeMode.PROHIBITED, 3: ComputeMode.EXCLUSIVE}.get(
        value or 0, ComputeMode.DEFAULT
    )
