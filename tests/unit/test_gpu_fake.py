"""The scripted provider, beyond the contract that it shares with the real one."""

from __future__ import annotations

import pytest

from aiotune_gpu import DeviceFault, DeviceHealth, DeviceLost, NvmlUnavailable
from aiotune_gpu.fake import FakeProvider, fake_devices

DEVICES = fake_devices(2)
A, B = (device.uuid for device in DEVICES)


def test_a_curve_is_followed_and_its_end_stays() -> None:
    """Memory that is given back some time after its process is gone, say."""
    provider = FakeProvider(DEVICES, used={A: 9}, curves={A: [5, 3, 0]})

    assert [provider.memory(A).used for _ in range(5)] == [5, 3, 0, 0, 0]
    assert provider.memory(B).used == 0


def test_more_than_all_in_use_leaves_nothing() -> None:
    """Never a negative number of bytes."""
    provider = FakeProvider(DEVICES, used={A: DEVICES[0].total_bytes}, reserved={A: 1})

    assert provider.memory(A).free == 0


def test_without_devices_there_are_none() -> None:
    """That is no error, unlike devices that do not answer."""
    assert FakeProvider().devices() == []


def test_what_happened_before_is_told_at_first() -> None:
    """A fault, and a device that a test has put among the lost by hand."""
    provider = FakeProvider(DEVICES)
    provider.fail(A, 31)
    provider.lost.add(B)

    assert provider.faults(0) == [DeviceFault(A, 31), DeviceFault(B, None)]
    assert provider.faults(0) == []


def test_without_a_driver_nothing_is_answered() -> None:
    """From the moment it is gone."""
    provider = FakeProvider(DEVICES, ailing={A: DeviceHealth(remap_failed=True)})
    assert provider.health(A).remap_failed
    provider.unavailable = "unloaded"

    for ask in (
        provider.devices,
        lambda: provider.memory(A),
        lambda: provider.processes(A),
        lambda: provider.health(A),
        lambda: provider.faults(0),
    ):
        with pytest.raises(NvmlUnavailable, match="unloaded"):
            ask()


def test_a_lost_device_is_named() -> None:
    """Which one does not answer."""
    provider = FakeProvider(DEVICES, lost={A})

    with pytest.raises(DeviceLost, match=A):
        provider.memory(A)
