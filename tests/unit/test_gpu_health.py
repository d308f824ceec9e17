"""What a device's health and its faults mean."""

from __future__ import annotations

import pytest

from aiotune_gpu import (
    ApplicationFault,
    Broken,
    DeviceFault,
    DeviceHealth,
    Healthy,
    describe_xid,
    verdict,
)

WELL = DeviceHealth(uncorrected_ecc=0, utilization=40)


def _fault(xid: int | None) -> DeviceFault:
    return DeviceFault("GPU-1", xid)


@pytest.mark.parametrize(
    "health",
    [
        DeviceHealth(),
        WELL,
        DeviceHealth(uncorrected_ecc=5, remap_pending=True),
        DeviceHealth(uncorrected_ecc=1),
        DeviceHealth(uncorrected_ecc=0, pages_pending=True),
        DeviceHealth(pages_pending=True),
        DeviceHealth(utilization=100),
    ],
)
def test_a_device_that_can_be_used_is_healthy(health: DeviceHealth) -> None:
    """Errors that the device has dealt with, or will at the next reset, are no reason to stop."""
    assert verdict(health) == Healthy()


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        (DeviceHealth(lost=True), "it does not answer"),
        (DeviceHealth(lost=True, reset_required=True), "it does not answer until it is reset"),
        (DeviceHealth(reset_required=True), "the driver says that it needs a reset"),
        (DeviceHealth(remap_failed=True), "a bad row of its memory could not be replaced"),
        (
            DeviceHealth(uncorrected_ecc=2, pages_pending=True),
            (
                "its memory had 2 error(s) that could not be corrected, and the bad pages stay "
                "in use until it is reset"
            ),
        ),
    ],
)
def test_a_device_that_should_not_be_used_is_broken(health: DeviceHealth, reason: str) -> None:
    """Without any fault told, and whatever the fault: a harmless one does not mend it."""
    assert verdict(health) == Broken(reason)
    assert verdict(health, _fault(13)) == Broken(reason)
    assert verdict(health, _fault(63)) == Broken(reason)


@pytest.mark.parametrize(
    "xid", [46, 48, 62, 64, 74, 79, 95, 110, 119, 120, 136, 140, 143, 151, 158]
)
def test_faults_that_need_a_reset_break_the_device(xid: int) -> None:
    """Though its health shows nothing yet; the reason has the number."""
    found = verdict(WELL, _fault(xid))

    assert isinstance(found, Broken)
    assert found.reason.startswith(f"Xid {xid}, ")
    assert found.reason.endswith("; it needs a reset")


@pytest.mark.parametrize("xid", [8, 13, 31, 32, 43, 45, 69, 109])
def test_faults_of_a_program_leave_the_device(xid: int) -> None:
    """Whoever else is on it goes on."""
    assert verdict(WELL, _fault(xid)) == ApplicationFault(xid, blameless=False)


def test_a_contained_memory_error_is_not_the_programs_doing() -> None:
    """It fails, the device stays, and a second try may well succeed."""
    health = DeviceHealth(uncorrected_ecc=1, remap_pending=True)

    assert verdict(health, _fault(94)) == ApplicationFault(94, blameless=True)


@pytest.mark.parametrize("xid", [63, 92, 93, 106, 107, 154])
def test_some_messages_are_no_faults(xid: int) -> None:
    """A row that was replaced, corrected errors, a change that the health shows by itself."""
    assert verdict(WELL, _fault(xid)) == Healthy()


def test_an_unknown_fault_is_a_programs() -> None:
    """One number more than the catalogue has must not cost a device."""
    assert verdict(WELL, _fault(4711)) == ApplicationFault(4711)


def test_a_device_that_fell_silent_is_broken_though_it_answers_again() -> None:
    """What was on it is gone, and it is not to be trusted."""
    assert verdict(WELL, _fault(None)) == Broken("it stopped answering")


@pytest.mark.parametrize(
    ("xid", "expected"),
    [
        (79, "Xid 79, the GPU has fallen off the bus"),
        (31, "Xid 31, an access to memory that is not mapped"),
        (63, "Xid 63, a bad row of memory will be replaced at the next reset"),
        (4711, "Xid 4711"),
    ],
)
def test_a_number_is_put_into_words(xid: int, expected: str) -> None:
    """As far as it is known."""
    assert describe_xid(xid) == expected
