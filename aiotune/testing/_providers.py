"""What every ``DeviceProvider`` must keep to, as checks over a rig that has devices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from aiotune_gpu import (
    MIB,
    Broken,
    DeviceFault,
    DeviceHealth,
    DeviceLost,
    DeviceProcess,
    DeviceProvider,
    Healthy,
    NvmlUnavailable,
    verdict,
)
from aiotune_gpu.fake import FakeProvider

__all__ = ("PROVIDER_CHECKS", "DeviceScript", "FakeRig", "ProviderCheck", "ProviderRig")

_UNKNOWN = "GPU-ffffffff-ffff-ffff-ffff-ffffffffffff"
_PATIENCE = 30.0
"""Seconds after which something that should happen at once has not happened."""


class DeviceScript(Protocol):
    """Decides what the devices of a provider under test do."""

    def set_used(self, uuid: str, used: int) -> None:
        """Have so many bytes in use on a device, besides what the driver keeps."""
        ...

    def set_running(self, uuid: str, processes: Sequence[DeviceProcess]) -> None:
        """Have just these processes on a device."""
        ...

    def set_health(self, uuid: str, health: DeviceHealth) -> None:
        """Have a device in a health that is not ``lost``."""
        ...

    def lose(self, uuid: str) -> None:
        """Let a device stop answering."""
        ...

    def fail(self, uuid: str, xid: int) -> None:
        """Let the driver tell a fault."""
        ...


class ProviderRig(Protocol):
    """A provider of two whole, healthy devices or more, and what scripts them."""

    @property
    def provider(self) -> DeviceProvider:
        """The one under test."""
        ...

    @property
    def script(self) -> DeviceScript:
        """What its devices do."""
        ...


class FakeRig:
    """Checks :class:`aiotune_gpu.fake.FakeProvider`.

    Args:
        provider: The one under test.
    """

    def __init__(self, provider: FakeProvider) -> None:
        self.provider = provider

    @property
    def script(self) -> DeviceScript:
        """Itself."""
        return self

    def set_used(self, uuid: str, used: int) -> None:
        """Have so many bytes in use on a device."""
        self.provider.used[uuid] = used

    def set_running(self, uuid: str, processes: Sequence[DeviceProcess]) -> None:
        """Have just these processes on a device."""
        self.provider.running[uuid] = list(processes)

    def set_health(self, uuid: str, health: DeviceHealth) -> None:
        """Have a device in this health."""
        self.provider.ailing[uuid] = health

    def lose(self, uuid: str) -> None:
        """Let a device stop answering."""
        self.provider.lose(uuid)

    def fail(self, uuid: str, xid: int) -> None:
        """Let the driver tell a fault."""
        self.provider.fail(uuid, xid)


ProviderCheck = Callable[[ProviderRig], None]


def check_devices_are_in_pci_order(rig: ProviderRig) -> None:
    """Devices come in order of their index, each with a UUID of its own, a name and memory."""
    devices = rig.provider.devices()
    assert devices, "the checks need at least one device"
    assert [d.index for d in devices] == sorted(d.index for d in devices)
    assert len({d.uuid for d in devices}) == len(devices)
    assert all(d.uuid.startswith(("GPU-", "MIG-")) and d.name for d in devices)
    assert all(d.total_bytes > 0 for d in devices)


def check_asking_twice_gives_the_same(rig: ProviderRig) -> None:
    """Nothing changes because somebody asked."""
    assert list(rig.provider.devices()) == list(rig.provider.devices())


def check_memory_adds_up(rig: ProviderRig) -> None:
    """Used, free and reserved memory make up the whole."""
    for device in rig.provider.devices():
        memory = rig.provider.memory(device.uuid)
        assert memory.total == device.total_bytes
        assert min(memory.used, memory.free, memory.reserved) >= 0
        assert memory.used + memory.free + memory.reserved == memory.total


def check_memory_is_as_of_now(rig: ProviderRig) -> None:
    """What is taken or given back between two questions shows in the second answer."""
    first, second = (d.uuid for d in rig.provider.devices()[:2])
    untouched = rig.provider.memory(second)
    before = rig.provider.memory(first)
    rig.script.set_used(first, 3000 * MIB)
    during = rig.provider.memory(first)
    rig.script.set_used(first, 1000 * MIB)
    after = rig.provider.memory(first)

    assert before.total == during.total == after.total
    assert during.used - after.used == after.free - during.free == 2000 * MIB
    assert rig.provider.memory(second) == untouched


def check_processes_come_and_go(rig: ProviderRig) -> None:
    """Each process on a device is listed with its memory, or with None where that is not told."""
    first, second = (d.uuid for d in rig.provider.devices()[:2])
    running = [DeviceProcess(101 + i, i * MIB or None) for i in range(9)]
    assert rig.provider.processes(first) == []
    rig.script.set_running(first, running)
    listed = rig.provider.processes(first)
    elsewhere = rig.provider.processes(second)
    rig.script.set_running(first, [])

    assert sorted(listed, key=lambda process: process.pid) == running
    assert elsewhere == []
    assert rig.provider.processes(first) == []


def check_unknown_device_is_lost(rig: ProviderRig) -> None:
    """Asking for a device that is not there raises DeviceLost; its health is that it is lost."""
    _assert_lost(rig.provider, _UNKNOWN)


def check_lost_device_leaves_the_others(rig: ProviderRig) -> None:
    """A device that stops answering is gone from the list; the rest keep index and answers."""
    lost, *others = rig.provider.devices()
    rig.script.lose(lost.uuid)

    assert list(rig.provider.devices()) == others
    _assert_lost(rig.provider, lost.uuid)
    for device in others:
        assert rig.provider.memory(device.uuid).total == device.total_bytes
        assert not rig.provider.health(device.uuid).lost


def check_losing_all_is_not_having_none(rig: ProviderRig) -> None:
    """If no device answers any more, asking for the devices raises DeviceLost."""
    for device in rig.provider.devices():
        rig.script.lose(device.uuid)
    try:
        rig.provider.devices()
    except DeviceLost:
        return
    raise AssertionError("devices() must raise DeviceLost when none of them answers")


def check_devices_begin_healthy(rig: ProviderRig) -> None:
    """A device that nothing was done to is well."""
    for device in rig.provider.devices():
        assert verdict(rig.provider.health(device.uuid)) == Healthy()


def check_health_is_as_of_now(rig: ProviderRig) -> None:
    """Each part of a device's health is told, and only that device's."""
    first, second = (d.uuid for d in rig.provider.devices()[:2])
    for health in (
        DeviceHealth(uncorrected_ecc=2, remap_pending=True, utilization=87),
        DeviceHealth(uncorrected_ecc=0, remap_failed=True, utilization=0),
        DeviceHealth(uncorrected_ecc=1, pages_pending=True),
        DeviceHealth(reset_required=True),
    ):
        rig.script.set_health(first, health)
        assert rig.provider.health(first) == health
        assert verdict(rig.provider.health(second)) == Healthy()


def check_faults_are_told_once_in_order(rig: ProviderRig) -> None:
    """Faults of all devices come in their order, none twice; without one there is nothing."""
    first, second = (d.uuid for d in rig.provider.devices()[:2])
    assert list(rig.provider.faults(0)) == []
    rig.script.fail(second, 31)
    rig.script.fail(first, 79)
    rig.script.fail(second, 31)
    told: list[DeviceFault] = []
    while len(told) < 3 and (found := rig.provider.faults(_PATIENCE)):  # noqa: PLR2004 - above
        told += found

    assert told == [DeviceFault(second, 31), DeviceFault(first, 79), DeviceFault(second, 31)]
    assert list(rig.provider.faults(0)) == []


def check_a_fault_ends_the_waiting(rig: ProviderRig) -> None:
    """Whoever waits for faults hears of one when it happens, not when the time is over."""
    uuid = rig.provider.devices()[0].uuid
    assert list(rig.provider.faults(0)) == []

    told = _meanwhile(rig, lambda: rig.script.fail(uuid, 48))

    assert told == [DeviceFault(uuid, 48)]
    assert isinstance(verdict(rig.provider.health(uuid), told[0]), Broken)


def check_a_loss_is_told_once(rig: ProviderRig) -> None:
    """A device that stops answering is a fault without a number; others are watched further."""
    first, second = (d.uuid for d in rig.provider.devices()[:2])
    assert list(rig.provider.faults(0)) == []

    told = _meanwhile(rig, lambda: rig.script.lose(first))

    assert told == [DeviceFault(first, None)]
    assert list(rig.provider.faults(0)) == []
    rig.script.fail(second, 13)
    assert list(rig.provider.faults(_PATIENCE)) == [DeviceFault(second, 13)]


def check_closing_ends_the_waiting(rig: ProviderRig) -> None:
    """Who waits for faults when the provider is closed gets none; who asks later is refused."""
    assert list(rig.provider.faults(0)) == []

    assert _meanwhile(rig, rig.provider.close) == []
    try:
        rig.provider.faults(0)
    except NvmlUnavailable:
        return
    raise AssertionError("faults() of a closed provider must raise NvmlUnavailable")


def _assert_lost(provider: DeviceProvider, uuid: str) -> None:
    assert provider.health(uuid).lost
    for ask in (provider.memory, provider.processes):
        try:
            ask(uuid)
        except DeviceLost:
            continue
        raise AssertionError(
            f"{ask.__name__}() of a device that is not there must raise DeviceLost"
        )


def _meanwhile(rig: ProviderRig, act: Callable[[], None]) -> list[DeviceFault]:
    """Do something while another thread waits for faults; return what it is told."""
    told: list[DeviceFault] = []
    entered = threading.Event()

    def wait() -> None:
        entered.set()
        try:
            told.extend(rig.provider.faults(_PATIENCE))
        except NvmlUnavailable:  # closed before the thread had come so far
            told.clear()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert entered.wait(_PATIENCE)
    act()
    thread.join(_PATIENCE / 2)
    assert not thread.is_alive(), "faults() waits on after what it waits for"
    return told


PROVIDER_CHECKS: tuple[ProviderCheck, ...] = (
    check_devices_are_in_pci_order,
    check_asking_twice_gives_the_same,
    check_memory_adds_up,
    check_memory_is_as_of_now,
    check_processes_come_and_go,
    check_unknown_device_is_lost,
    check_lost_device_leaves_the_others,
    check_losing_all_is_not_having_none,
    check_devices_begin_healthy,
    check_health_is_as_of_now,
    check_faults_are_told_once_in_order,
    check_a_fault_ends_the_waiting,
    check_a_loss_is_told_once,
    check_closing_ends_the_waiting,
)
"""All checks."""
