"""Devices without memory of their own, which use the host's: DGX Spark, Jetson."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiotune_gpu import GIB, DeviceLost, DeviceMemory, GpuError, NvmlProvider
from aiotune_gpu.fake_driver import LOST, FakeDriver

A = "GPU-00000000-0000-0000-0000-000000000000"


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(
        f"MemTotal:       {128 << 20} kB\nMemFree: 1 kB\nMemAvailable:   {100 << 20} kB\n"
    )
    return path


@pytest.fixture
def nvml(
    new_library: Path, driver: FakeDriver, load: Callable[[Path], None], meminfo: Path
) -> Iterator[NvmlProvider]:
    load(new_library)
    driver.change(A, total=-1, cores=6144)
    provider = NvmlProvider(meminfo=meminfo)
    yield provider
    provider.close()


def test_the_hosts_memory_is_the_devices(nvml: NvmlProvider) -> None:
    """What the driver calls not supported is what the kernel tells; the other devices are as ever."""
    unified, other, *_ = nvml.devices()

    assert (unified.uuid, unified.unified, unified.total_bytes) == (A, True, 128 * GIB)
    assert nvml.memory(A) == DeviceMemory(128 * GIB, 28 * GIB, 100 * GIB)
    assert not nvml.health(A).lost
    assert (other.unified, other.total_bytes) == (False, 16 * GIB)
    assert (unified.cores, other.cores) == (6144, 1024)


def test_one_that_does_not_answer_is_lost_all_the_same(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """The kernel's word is taken only for what the driver does not support."""
    driver.lose(A, LOST)

    assert nvml.health(A).lost
    with pytest.raises(DeviceLost):
        nvml.memory(A)


def test_what_neither_tells_is_an_error(nvml: NvmlProvider, meminfo: Path) -> None:
    """Without a number nothing can be given out."""
    meminfo.write_text("nonsense\n")

    with pytest.raises(GpuError, match="Neither the driver nor the kernel tells what memory"):
        nvml.memory(A)
    assert [device.unified for device in nvml.devices()] == [False] * 3


def test_cores_that_are_not_told_are_unknown(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """An old driver has no number for them."""
    driver.change(A, cores=-1)

    assert nvml.devices()[0].cores is None
