"""What every ``DeviceProvider`` must keep to, as checks over one that has devices."""

from __future__ import annotations

from collections.abc import Callable

from gpu import DeviceLost, DeviceProvider

__all__ = ("PROVIDER_CHECKS", "ProviderCheck")

ProviderCheck = Callable[[DeviceProvider], None]


def check_devices_are_in_pci_order(provider: DeviceProvider) -> None:
    """Devices come in order of their index, each with a UUID of its own, a name and memory."""
    devices = provider.devices()
    assert devices, "the checks need at least one device"
    assert [d.index for d in devices] == sorted(d.index for d in devices)
    assert len({d.uuid for d in devices}) == len(devices)
    assert all(d.uuid.startswith(("GPU-", "MIG-")) and d.name for d in devices)
    assert all(d.total_bytes > 0 for d in devices)


def check_asking_twice_gives_the_same(provider: DeviceProvider) -> None:
    """Nothing changes because somebody asked."""
    assert list(provider.devices()) == list(provider.devices())


def check_memory_adds_up(provider: DeviceProvider) -> None:
    """Used, free and reserved memory make up the whole."""
    for device in provider.devices():
        memory = provider.memory(device.uuid)
        assert memory.total == device.total_bytes
        assert min(memory.used, memory.free, memory.reserved) >= 0
        assert memory.used + memory.free + memory.reserved == memory.total


def check_processes_have_a_pid(provider: DeviceProvider) -> None:
    """A process on a device has a number; its memory may be unknown."""
    for device in provider.devices():
        for process in provider.processes(device.uuid):
            assert process.pid > 0
            assert process.used is None or process.used >= 0


def check_unknown_device_is_lost(provider: DeviceProvider) -> None:
    """Asking for a device that is not there raises DeviceLost."""
    for ask in (provider.memory, provider.processes):
        try:
            ask("GPU-ffffffff-ffff-ffff-ffff-ffffffffffff")
        except DeviceLost:
            continue
        raise AssertionError(f"{ask.__name__}() of an unknown device must raise DeviceLost")


PROVIDER_CHECKS: tuple[ProviderCheck, ...] = (
    check_devices_are_in_pci_order,
    check_asking_twice_gives_the_same,
    check_memory_adds_up,
    check_processes_have_a_pid,
    check_unknown_device_is_lost,
)
"""All checks."""
