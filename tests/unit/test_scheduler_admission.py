"""What a trial is given after it ran out of memory, on hosts whose GPUs differ, break and are used by others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiotune._devices import Place, Resources
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import Calibration, ModelSize, Rung
from aiotune.scheduler._admission import Admission, Need
from aiotune.scheduler._attempts import Running
from aiotune.scheduler._commands import DeviceBroke, Reject, TrialProposed
from aiotune.scheduler._core import SchedulerCore
from aiotune.scheduler._memory import with_rung
from aiotune.store import Layout
from aiotune.trial import Trial
from aiotune_gpu import GIB, DeviceMemory, Lease, NotNow
from aiotune_gpu.fake import fake_devices

OWN = OutOfMemory(cause=MemoryCause.DEVICE)


def admission(*gib: int, **options: Any) -> Admission:
    devices = [
        replace(device, total_bytes=size * GIB)
        for device, size in zip(fake_devices(len(gib)), gib, strict=True)
    ]
    resources = Resources(most=len(gib), reason="", devices=tuple(devices), **options)
    return Admission(resources, Calibration(), space="s")


def uuid(index: int) -> str:
    return fake_devices(index + 1)[index].uuid


def used(found: Admission, index: int, size: int) -> None:
    """Let others use so much of a device."""
    device = found.resources.devices[index]
    memory = DeviceMemory(device.total_bytes, size, device.total_bytes - size)
    found.ledger.measure(device.uuid, memory)


def lease(found: Admission, need: Need) -> Lease:
    granted = found.admit("0", need)
    assert isinstance(granted, Lease), granted
    return granted


def climb(found: Admission, held: Lease, cause: MemoryCause, tries: int) -> Lease | None:
    """Return what a trial gets after it ran out of memory, if it gets anything."""
    rung = found.after(OutOfMemory(cause=cause), held, tries)
    found.ledger.release(held)
    return None if rung is None else lease(found, Need(rung=rung))


def running(held: Lease, tmp_path: Path) -> Running:
    trial = Trial(HyperParameters(), trial_id="0")
    paths = Layout(tmp_path, "p").attempt_paths("0", 1)
    return Running(trial, Place("GPU 0"), held, Need(), 1, "0-01-a", paths, 0.0)


def ran_out(cause: MemoryCause = MemoryCause.DEVICE) -> TrialFailure:
    memory = OutOfMemory(cause=cause)
    return TrialFailure(kind=FailureKind.OUT_OF_MEMORY, message="no room", memory=memory)


def test_an_unknown_model_waits_for_a_gpu_that_is_full() -> None:
    """A GPU without free memory is no place to try it: it would be refused for nothing."""
    found = admission(16)
    used(found, 0, 16 * GIB)

    assert isinstance(found.admit("0", Need()), NotNow)


def test_who_ran_out_alone_on_a_small_gpu_gets_a_larger_one() -> None:
    """Only what fails alone on the largest fits nowhere."""
    found = admission(40, 8)
    small = lease(found, Need())

    more = climb(found, small, MemoryCause.DEVICE, 0)

    assert small.uuids == (uuid(1),)
    assert more is not None
    assert more.uuids == (uuid(0),)


def test_a_large_model_that_might_fit_a_small_gpu_gets_the_large_one_after_it() -> None:
    """The smaller one was tried since the prediction fits neither; its failure is not the end."""
    found = admission(22, 24)
    size = ModelSize(
        backend="tensorflow",
        parameters=1,
        trainable_parameters=1,
        weight_bytes=13 * GIB,
        gradient_bytes=13 * GIB,
        slot_bytes=0,
    )
    first = lease(found, Need(size))

    more = climb(found, first, MemoryCause.DEVICE, 0)

    assert first.uuids == (uuid(0),)
    assert more is not None
    assert (more.uuids, more.exclusive) == ((uuid(1),), True)
    assert climb(found, more, MemoryCause.DEVICE, 1) is None


def test_the_last_rung_is_the_largest_gpu_and_no_smaller_one() -> None:
    """One that has nine tenths of it is not as large."""
    found = admission(22, 24)

    last = climb(found, lease(found, Need()), MemoryCause.DEVICE, 1)

    assert last is not None
    assert last.uuids == (uuid(1),)


def test_the_last_rung_of_a_trial_on_two_gpus_is_what_both_can_give() -> None:
    """With one large GPU of two the smaller one is the limit; asking both for the larger's would refuse it."""
    found = admission(40, 16, gpus_per_trial=2)
    held = Lease(0, "0", (uuid(0), uuid(1)), 4 * GIB)

    rung = found.after(OWN, held, 1)

    assert rung is not None
    assert lease(found, Need(rung=rung)).uuids == (uuid(1), uuid(0))


@pytest.mark.parametrize("alone", [False, True])
def test_a_rung_on_a_gpu_that_broke_is_the_largest_that_is_left(*, alone: bool) -> None:
    """It was to get more than there is now; that it does not fit there was never seen."""
    found = admission(40, 16)
    found.ledger.close(uuid(0))

    left = lease(found, Need(rung=Rung(39 * GIB, alone=alone)))

    assert (left.uuids, left.exclusive) == ((uuid(1),), True)


def test_a_rung_that_was_the_largest_gpu_in_an_earlier_search_is_climbed_on() -> None:
    """The host has a larger one now: the last try was not made on that."""
    found = admission(16, 40)

    more = climb(found, lease(found, Need(rung=Rung(15 * GIB, alone=True))), MemoryCause.DEVICE, 2)

    assert more is not None
    assert more.uuids == (uuid(1),)


def test_the_hosts_memory_is_tried_alone_whatever_ran_out_before() -> None:
    """A trial that was given more of a GPU has not been alone for that."""
    found = admission(16)
    shared = lease(found, Need(rung=Rung(4 * GIB, alone=False)))

    alone = climb(found, shared, MemoryCause.HOST, 1)

    assert alone is not None
    assert alone.exclusive
    assert climb(found, alone, MemoryCause.HOST, 2) is None


def test_what_others_held_of_a_gpu_is_not_the_trials_fault(tmp_path: Path) -> None:
    """Alone on a GPU that is half full it got half: it comes back for all of it."""
    found = admission(16)
    used(found, 0, 8 * GIB)
    attempt = running(lease(found, Need()), tmp_path)

    failure = with_rung(attempt, ran_out(), found)

    assert failure is not None
    assert failure.memory == OutOfMemory(cause=MemoryCause.FOREIGN)
    assert attempt.trial.rung == Rung(attempt.lease.bytes, alone=True)
    found.ledger.release(attempt.lease)
    used(found, 0, 0)
    assert lease(found, Need(rung=attempt.trial.rung)).bytes > 15 * GIB


def test_the_last_try_does_not_wait_for_what_others_have_held_all_the_time() -> None:
    """A desktop takes a seventh of a workstation's GPU, and will not end: the search must not wait for it."""
    found = admission(12)
    used(found, 0, 7 * GIB // 4)

    assert lease(found, Need(rung=Rung(12 * GIB, alone=True))).bytes > 9 * GIB


@pytest.mark.parametrize("weights", [3, 4])
def test_a_prediction_that_only_an_empty_gpu_has_room_for_does_not_wait_for_a_desktop(
    weights: int,
) -> None:
    """It is tried alone with what the desktop leaves, since that may be enough, and nothing else will come."""
    found = admission(12)
    used(found, 0, 7 * GIB // 4)
    size = ModelSize(
        backend="tensorflow",
        parameters=1,
        trainable_parameters=1,
        weight_bytes=weights * GIB,
        gradient_bytes=weights * GIB,
        slot_bytes=weights * GIB // 2,
    )

    granted = lease(found, Need(size))

    assert (granted.exclusive, granted.bytes) == (
        True,
        found.ledger.states()[0].capacity - 7 * GIB // 4,
    )


def test_a_rung_that_only_an_empty_gpu_has_room_for_does_not_wait_for_a_desktop() -> None:
    """It is the last one then: the GPU alone."""
    found = admission(12)
    used(found, 0, 7 * GIB // 4)

    assert lease(found, Need(rung=Rung(21 * GIB // 2, alone=False))).exclusive


def test_the_last_try_is_made_on_the_gpu_without_the_desktop() -> None:
    """Of two alike the one that drives a screen gives less: what failed there was not on the largest."""
    found = admission(12, 12)
    used(found, 0, 7 * GIB // 4)
    first, beside = lease(found, Need()), lease(found, Need())
    found.ledger.release(first)

    last = climb(found, beside, MemoryCause.DEVICE, 1)

    assert (first.uuids, beside.uuids) == ((uuid(1),), (uuid(0),))
    assert last is not None
    assert last.uuids == (uuid(1),)


def test_a_trial_that_is_alone_does_not_choose_the_gpu_that_a_colleague_fills() -> None:
    """Eight of 80 GiB, and 60 GiB of the fourth are a stranger's: it comes last."""
    found = admission(*[80] * 8)
    used(found, 3, 60 * GIB)

    taken = [lease(found, Need()) for _ in range(8)]

    assert [held.uuids for held in taken] == [(uuid(n),) for n in (0, 1, 2, 4, 5, 6, 7, 3)]
    assert all(held.exclusive for held in taken)


def test_the_last_try_waits_for_what_others_have_taken_meanwhile() -> None:
    """What was free a while ago may be free again."""
    found = admission(12)
    for size in (0, 7 * GIB // 4):
        used(found, 0, size)

    assert isinstance(found.admit("0", Need(rung=Rung(12 * GIB, alone=True))), NotNow)


def test_the_last_try_waits_for_another_user_who_was_there_first() -> None:
    """Who holds half of a GPU is no desktop: to try what is left of it six times would refuse a trial for nothing."""
    found = admission(12)
    used(found, 0, 6 * GIB)

    assert isinstance(found.admit("0", Need(rung=Rung(12 * GIB, alone=True))), NotNow)


def test_a_rung_outlives_a_failure_of_another_kind(tmp_path: Path) -> None:
    """A crash says nothing of memory: the next attempt has what this one had, not the first guess."""
    found = admission(16)
    attempt = running(lease(found, Need(rung=Rung(4 * GIB, alone=False))), tmp_path)
    attempt.trial.rung = Rung(4 * GIB, alone=False)

    with_rung(attempt, TrialFailure(kind=FailureKind.CRASHED, message="SIGSEGV"), found)

    assert attempt.trial.rung == Rung(4 * GIB, alone=False)


def test_nothing_is_refused_when_too_few_gpus_are_left_for_any_trial() -> None:
    """One of two is left where each trial needs two: the search ends, and says nothing of what fits."""
    core = SchedulerCore(admission(16, 16, gpus_per_trial=2), ahead=0)
    core.start()

    core.handle(DeviceBroke(uuid(0), "it is broken"))
    commands = core.handle(TrialProposed("0"))

    assert [c for c in commands if isinstance(c, Reject)] == []


def test_on_the_cpu_it_is_the_hosts_memory_that_ran_out(tmp_path: Path) -> None:
    """Whatever a worker takes it for: it is tried once more, alone, and then the host is named."""
    found = Admission(Resources(2, "", host_bytes=8 * GIB), Calibration(), space="s")
    attempt = running(lease(found, Need()), tmp_path)

    failure = with_rung(attempt, ran_out(MemoryCause.WORKSPACE), found)

    assert failure is not None
    assert failure.memory == OutOfMemory(cause=MemoryCause.HOST)
    assert attempt.trial.rung is not None
    assert attempt.trial.rung.alone
