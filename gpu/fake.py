"""Devices that do not exist: scripted memory, processes and faults, for anyone's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gpu.bytesize import GIB
from gpu.device import Device, DeviceMemory, DeviceProcess
from gpu.errors import DeviceLost, NvmlUnavailable

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
    """

    present: Sequence[Device] = ()
    used: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    running: dict[str, list[DeviceProcess]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    unavailable: str | None = None
    closed: bool = False

    def devices(self) -> Sequence[Device]:
        """Return the scripted devices that answer."""
        if self.unavailable is not None:
            raise NvmlUnavailable(self.unavailable)
        found = [device for device in self.present if device.uuid not in self.lost]
        if self.present and not found:
            raise DeviceLost("None of the devices answers.")
        return found

    def memory(self, uuid: str) -> DeviceMemory:
        """Return the scripted memory."""
        device = self._answering(uuid)
        used, reserved = self.used.get(uuid, 0), self.reserved.get(uuid, 0)
        return DeviceMemory(
            device.total_bytes, used, max(0, device.total_bytes - used - reserved), reserved
        )

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the scripted processes."""
        self._answering(uuid)
        return list(self.running.get(uuid, ()))

    def close(self) -> None:
        """Remember that it was called."""
        self.closed = True

    def _answering(self, uuid: str) -> Device:
        device = next((d for d in self.present if d.uuid == uuid), None)
        if device is None or uuid in self.lost:
            raise DeviceLost(f"Device {uuid} does not answer.")
        return device
