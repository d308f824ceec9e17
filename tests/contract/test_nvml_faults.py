"""What NVML tells of a device's health, and of what goes wrong on it."""

from __future__ import annotations

import time

import pytest

from aiotune_gpu import DeviceFault, DeviceHealth, NvmlProvider, NvmlUnavailable
from aiotune_gpu.fake_driver import LOST, FakeDriver

A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"
C = "GPU-22222222-2222-2222-2222-222222222222"
M1, M2 = "MIG-33333333", "MIG-44444444"
UNKNOWN = 999


def test_an_instance_is_as_well_as_its_gpu(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """The driver counts errors of whole GPUs; how busy an instance is, it does not tell."""
    driver.change(C, health=DeviceHealth(uncorrected_ecc=3, remap_failed=True, utilization=50))

    assert nvml.health(M2) == DeviceHealth(uncorrected_ecc=3, remap_failed=True)


@pytest.mark.parametrize(
    ("action", "expected"), [(0, False), (1, True), (2, True), (3, False), (4, True), (5, False)]
)
def test_the_drivers_recovery_action_decides_on_a_reset(
    nvml: NvmlProvider, driver: FakeDriver, action: int, expected: bool
) -> None:
    """Resets and reboots do; what is about the links to other GPUs does not."""
    driver.change(A, recovery=action)

    assert nvml.health(A).reset_required == expected


def test_a_gpu_that_counts_no_errors_has_an_unknown_number(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """Unknown is not none: consumer GPUs have no such memory."""
    driver.change(A, health=DeviceHealth(), recovery=-1)

    assert nvml.health(A) == DeviceHealth()


@pytest.mark.parametrize(
    ("gi", "ci", "expected"), [(-1, -1, [M1, M2]), (2, -1, [M2]), (2, 0, [M2]), (9, -1, [])]
)
def test_a_fault_is_told_of_the_instances_it_hits(
    nvml: NvmlProvider, driver: FakeDriver, gi: int, ci: int, expected: list[str]
) -> None:
    """Of all of a GPU's, unless the driver names one."""
    nvml.faults(0)
    driver.fail(C, 31, gi, ci)

    assert nvml.faults(0) == [DeviceFault(uuid, 31) for uuid in expected]


def test_a_dying_gpus_last_words_come_before_its_loss(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """The number of the fault is told though the GPU does not know its own name any more."""
    nvml.faults(0)
    driver.fail(A, 79)
    driver.lose(A)

    assert nvml.faults(0) == [DeviceFault(A, 79), DeviceFault(A, None)]


def test_a_flood_of_faults_is_told_in_pieces(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """A device that reports without end holds nobody for ever."""
    nvml.faults(0)
    driver.events += [(A, 13, -1, -1)] * 100
    driver.write()

    assert [len(nvml.faults(0)) for _ in range(3)] == [64, 36, 0]


def test_where_no_faults_are_told_the_waiting_still_takes_its_time(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """A loop around it does not spin, and closing ends it."""
    for uuid in (A, B, C):
        driver.change(uuid, silent=True)

    began = time.monotonic()
    assert nvml.faults(0.05) == []
    assert time.monotonic() - began >= 0.05
    nvml.close()
    with pytest.raises(NvmlUnavailable, match="closed"):
        nvml.faults(0.05)


def test_a_gpu_that_is_lost_from_the_start_does_not_stop_the_watch(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """The others are watched."""
    driver.lose(A)
    assert nvml.faults(0) == []
    driver.fail(B, 43)

    assert nvml.faults(0) == [DeviceFault(B, 43)]


def test_waiting_that_fails_takes_its_time_and_loses_nobody(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """An error that is about no device is waited out; faults are told again when it is over."""
    nvml.faults(0)
    driver.change(B, deaf=UNKNOWN)
    began = time.monotonic()

    assert nvml.faults(0.05) == []
    assert time.monotonic() - began >= 0.05
    driver.change(B, deaf=0)
    driver.fail(B, 13)
    assert nvml.faults(0) == [DeviceFault(B, 13)]


def test_a_watch_that_begins_without_any_device_begins_again(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """All were being reset, say."""
    for uuid in (A, B, C):
        driver.lose(uuid)
    assert nvml.faults(0) == []
    for uuid in (A, B, C):
        driver.change(uuid, lost=0)
    assert nvml.faults(0) == []
    driver.fail(C, 48, gi=1)

    assert nvml.faults(0) == [DeviceFault(M1, 48)]


def test_a_driver_that_answers_nothing_for_a_moment_is_watched_again(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """It fails where the watch over the others is made anew; what was lost is told all the same."""
    nvml.faults(0)
    driver.code = LOST
    driver.write()
    lost = nvml.faults(0)
    meanwhile = nvml.faults(0)
    driver.code = 0
    driver.write()
    nvml.faults(0)
    driver.fail(A, 31)

    assert {fault.xid for fault in lost} == {None}
    assert A in {fault.uuid for fault in lost}
    assert meanwhile == []
    assert nvml.faults(0) == [DeviceFault(A, 31)]
