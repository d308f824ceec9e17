"""Devices that do not exist: scripted memory, processes and faults, for anyone's tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiotune_gpu.bytesize import GIB
from aiotune_gpu.device import Device, DeviceFault, DeviceHealth, DeviceMemory, DeviceProcess
from aiotune_gpu.errors import DeviceLost, NvmlUnavailable

__all__ = ("FakeProvider", "fake_devices")


def fake_devices(count: int, *, gib: int = 16, name: str = "Fake GPU") -> list[Device]:
    """Return devices with plausible UUIDs."""
    return [
        Device(f"GPU-{i:08x}-0000-0000-0000-000000000000", i, name, gib * GIB) for i in range(count)
    ]


@dataclass(slots=True)
class FakeProvider:
    """A provider whose answers are written by hand; change its fields at any time.

    Attributes:
        present: The devices.
        used: Bytes in use, by UUID.
        reserved: Bytes that the driver keeps, by UUID.
        running: Processes, by UUID.
        lost: Devices that do not answer.
        unavailable: If set, there is no driver, for this reason.
        closed: Whether :meth:`close` was called.
        curves: Bytes in use at the next questions for a device's memory, by
            UUID; each is taken out and written to ``used``, the last stays.
        ailing: How a device is, by UUID; default well.
    """

    present: Sequence[Device] = ()
    used: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    running: dict[str, list[DeviceProcess]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    unavailable: str | None = None
    closed: bool = False
    curves: dict[str, list[int]] = field(default_factory=dict)
    ailing: dict[str, DeviceHealth] = field(default_factory=dict)
    _pending: list[DeviceFault] = field(default_factory=list, repr=False)
    _told_lost: set[str] = field(default_factory=set, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def devices(self) -> Sequence[Device]:
        """Return the scripted devices that answer."""
        self._must_have_driver()
        found = [device for device in self.present if device.uuid not in self.lost]
        if self.present and not found:
            raise DeviceLost("None of the devices answers.")
        return found

    def memory(self, uuid: str) -> DeviceMemory:
        """Return the scripted memory."""
        device = self._answering(uuid)
        if curve := self.curves.get(uuid):
            self.used[uuid] = curve.pop(0)
        used, reserved = self.used.get(uuid, 0), self.reserved.get(uuid, 0)
        return DeviceMemory(
            device.total_bytes, used, max(0, device.total_bytes - used - reserved), reserved
        )

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the scripted processes."""
        self._answering(uuid)
        return list(self.running.get(uuid, ()))

    def health(self, uuid: str) -> DeviceHealth:
        """Return the scripted health."""
        self._must_have_driver()
        try:
            self._answering(uuid)
        except DeviceLost:
            return DeviceHealth(lost=True)
        return self.ailing.get(uuid, DeviceHealth())

    def faults(self, timeout: float) -> Sequence[DeviceFault]:
        """Return what :meth:`fail` and :meth:`lose` have scripted, waiting in real time for it."""
        deadline = time.monotonic() + timeout
        with self._changed:
            if self.closed:
                raise NvmlUnavailable(
                    "The devices are not watched any more: their provider is closed."
                )
            while True:
                self._must_have_driver()
                if found := self._new_faults():
                    return found
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    return []
                self._changed.wait(left)

    def fail(self, uuid: str, xid: int) -> None:
        """Let something go wrong on a device; wakes whoever waits in :meth:`faults`."""
        with self._changed:
            self._pending.append(DeviceFault(uuid, xid))
            self._changed.notify_all()

    def lose(self, uuid: str) -> None:
        """Let a device stop answering; wakes whoever waits in :meth:`faults`."""
        with self._changed:
            self.lost.add(uuid)
            self._changed.notify_all()

    def close(self) -> None:
        """Remember that it was called, and end the waiting."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _new_faults(self) -> list[DeviceFault]:
        newly = [d.uuid for d in self.present if d.uuid in self.lost - self._told_lost]
        self._told_lost.update(newly)
        found = [*self._pending, *(DeviceFault(uuid, None) for uuid in newly)]
        self._pending.clear()
        return found

    def _must_have_driver(self) -> None:
        if self.unavailable is not None:
            raise NvmlUnavailable(self.unavailable)

    def _answering(self, uuid: str) -> Device:
        self._must_have_driver()
        device = next((d for d in self.present if d.uuid == uuid), None)
        if device is None or uuid in self.lost:
            raise DeviceLost(f"Device {uuid} does not answer.")
        return device
