"""What the real driver tells of real GPUs.

Needs an NVIDIA GPU, no back end. Run with: pytest -m gpu tests/device/test_gpu_driver.py
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiotune_gpu import DeviceLost, Healthy, NvmlProvider, environment_for, verdict, visible_devices

pytestmark = pytest.mark.gpu


@pytest.fixture
def nvml() -> Iterator[NvmlProvider]:
    provider = NvmlProvider()
    yield provider
    provider.close()


def test_devices_have_names_memory_and_a_place(nvml: NvmlProvider) -> None:
    """The list is the same twice; each device's memory adds up."""
    devices = nvml.devices()

    assert devices
    assert list(nvml.devices()) == list(devices)
    assert [d.index for d in devices] == sorted(d.index for d in devices)
    for device in devices:
        memory = nvml.memory(device.uuid)
        assert device.uuid.startswith(("GPU-", "MIG-"))
        assert memory.total == device.total_bytes == memory.used + memory.free + memory.reserved
        assert device.numa_node is None or device.numa_node >= 0


def test_devices_are_well(nvml: NvmlProvider) -> None:
    """A GPU that tests are run on is healthy, and reports no fault while nothing runs."""
    for device in nvml.devices():
        assert verdict(nvml.health(device.uuid)) == Healthy()
    assert list(nvml.faults(0.5)) == []


def test_processes_can_be_asked_for(nvml: NvmlProvider) -> None:
    """Whether or not this place lets us see them."""
    for device in nvml.devices():
        for process in nvml.processes(device.uuid):
            assert process.pid > 0
            assert process.used is None or process.used > 0


def test_a_device_that_is_not_there_is_lost(nvml: NvmlProvider) -> None:
    """The real driver's error is the package's own."""
    unknown = "GPU-ffffffff-ffff-ffff-ffff-ffffffffffff"

    with pytest.raises(DeviceLost):
        nvml.memory(unknown)
    assert nvml.health(unknown).lost


def test_a_child_is_given_what_is_written_for_it(nvml: NvmlProvider) -> None:
    """UUIDs as the driver writes them are read back."""
    devices = nvml.devices()

    for device in devices:
        assert visible_devices(devices, environment_for([device.uuid])) == (device,)
