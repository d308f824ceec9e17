"""Waits for the driver's messages that something went wrong on a device."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiotune_gpu.device import Device, DeviceFault
from aiotune_gpu.driver import Driver
from aiotune_gpu.errors import DeviceLost, GpuError, NvmlUnavailable

__all__ = ("FaultWatch",)

_SLICE = 0.25
"""Seconds of one wait inside the driver: so long may :meth:`FaultWatch.close` take."""
_MOST = 64
"""Faults told at once: a device that reports without end must not hold the caller."""
_WHOLE = 0xFFFFFFFF
"""NVML's number for "no particular instance"."""


class FaultWatch:
    """Collects critical Xids of all devices, from the first :meth:`wait` on.

    Args:
        driver: The driver.
        devices: Lists the devices; asked once, by the first :meth:`wait`.
    """

    def __init__(self, driver: Driver, devices: Callable[[], Sequence[Device]]) -> None:
        self._driver, self._nvml, self._list = driver, driver.nvml, devices
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._of_gpu: dict[str, list[Device]] | None = None
        self._uuid_of: dict[int, str] = {}
        self._events: Any = None

    def wait(self, timeout: float) -> list[DeviceFault]:
        """Return the faults since the last call, waiting so many seconds for the first.

        Raises:
            NvmlUnavailable: The watch is closed, or the driver is gone.
        """
        if self._closing.is_set():
            raise NvmlUnavailable("The devices are not watched any more: their provider is closed.")
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                if self._closing.is_set():
                    return []
                left = max(0.0, deadline - time.monotonic())
                found = self._look(min(_SLICE, left))
            if found or left <= _SLICE:
                return found

    def close(self) -> None:
        """End a :meth:`wait` under way, and return when it is out of the driver.

        Letting go of NVML under a thread that is inside it crashes the process.
        """
        self._closing.set()
        with self._lock:
            self._disarm()

    def _look(self, seconds: float) -> list[DeviceFault]:
        if self._of_gpu is None:
            self._begin()
        if self._events is None:  # nobody tells anything; the caller's loop must not spin
            self._closing.wait(seconds)
            return []
        found = self._next(seconds)
        while found and len(found) < _MOST and (more := self._next(0)):
            found += more
        return found

    def _begin(self) -> None:
        try:
            devices = self._list()
        except NvmlUnavailable:
            raise
        except GpuError:  # none answers; perhaps one does when this is asked again
            return
        self._of_gpu = {}
        for device in devices:
            self._of_gpu.setdefault(device.mig_parent or device.uuid, []).append(device)
        self._arm()

    def _next(self, seconds: float) -> list[DeviceFault]:
        nvml = self._nvml
        try:
            event = nvml.nvmlEventSetWait_v2(self._events, int(seconds * 1000))
        except nvml.NVMLError as error:
            if self._driver.is_error(error, ["TIMEOUT"]):
                return []
            translated = self._driver.translated("the driver for faults", error)
            if isinstance(translated, NvmlUnavailable):
                raise translated from error
            return self._who_is_lost(seconds)  # the error does not say which
        if event.eventType != nvml.nvmlEventTypeXidCriticalError:
            return []
        hit = [d for d in self._owners(event.device) if _is_hit(d, event)]
        return [DeviceFault(device.uuid, int(event.eventData)) for device in hit]

    def _owners(self, handle: Any) -> list[Device]:
        # By the handle's address, since a GPU that has fallen off the bus does
        # not tell its UUID any more.
        uuid = self._uuid_of.get(_address(handle))
        return (self._of_gpu or {}).get(uuid or "", [])

    def _who_is_lost(self, seconds: float) -> list[DeviceFault]:
        """Tell the lost devices, and watch the others: a set with a lost one fails at once."""
        watched, lost = self._of_gpu or {}, []
        for uuid in list(watched):
            if not self._answers(uuid):
                lost += [DeviceFault(device.uuid, None) for device in watched.pop(uuid)]
        if lost:
            self._disarm()
            self._arm()
        else:
            self._closing.wait(seconds)
        return lost

    def _answers(self, uuid: str) -> bool:
        nvml = self._nvml
        try:
            handle = self._driver.ask_handle(uuid, nvml.nvmlDeviceGetHandleByUUID, uuid)
            self._driver.optional(uuid, nvml.nvmlDeviceGetMemoryInfo, handle)
        except NvmlUnavailable:
            raise
        except GpuError as error:
            return not isinstance(error, DeviceLost)
        return True

    def _arm(self) -> None:
        nvml = self._nvml
        try:
            events = self._driver.optional("the driver for faults", nvml.nvmlEventSetCreate)
        except NvmlUnavailable:
            raise
        except GpuError:  # perhaps it can when this is asked again
            self._of_gpu = None
            return
        if events is None:
            return
        if [uuid for uuid in self._of_gpu or {} if self._register(uuid, events)]:
            self._events = events
        else:
            nvml.nvmlEventSetFree(events)

    def _register(self, uuid: str, events: Any) -> bool:
        nvml, driver, kind = self._nvml, self._driver, self._nvml.nvmlEventTypeXidCriticalError
        try:
            handle = driver.ask_handle(uuid, nvml.nvmlDeviceGetHandleByUUID, uuid)
            self._uuid_of[_address(handle)] = uuid
            kinds = driver.optional(uuid, nvml.nvmlDeviceGetSupportedEventTypes, handle) or 0
            if not kinds & kind:
                return False
            driver.ask(uuid, nvml.nvmlDeviceRegisterEvents, handle, kind, events)
        except NvmlUnavailable:
            raise
        except GpuError:  # whoever asks for its memory or health will hear of it
            return False
        return True

    def _disarm(self) -> None:
        if self._events is not None:
            self._driver.optional(
                "the driver for faults", self._nvml.nvmlEventSetFree, self._events
            )
            self._events = None


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _is_hit(device: Device, event: Any) -> bool:
    """Tell whether an event of a GPU is about one of its instances, or about all of it."""
    told = (event.gpuInstanceId, event.computeInstanceId)
    own = (device.gpu_instance, device.compute_instance)
    return all(o is None or t in {_WHOLE, o} for t, o in zip(told, own, strict=True))
