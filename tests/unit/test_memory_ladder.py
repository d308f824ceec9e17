"""What a trial that ran out of memory is given next."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune.failures import MemoryCause, OutOfMemory
from aiotune.memory import MOST_FOREIGN, MOST_TRIES, Rung, is_counted, next_rung

MIB = 1 << 20
GIB = 1 << 30

amounts = st.none() | st.integers(0, 1 << 38)
failures = st.builds(
    OutOfMemory,
    cause=st.sampled_from(MemoryCause),
    asked=amounts,
    limit=amounts,
    in_use=amounts,
    peak=amounts,
    free=amounts,
)


def after(cause: MemoryCause, reservation: int, tries: int = 0, **known: Any) -> Rung | None:
    """Return the next rung on devices of 80 GiB."""
    failure = OutOfMemory(cause=cause, **known)
    return next_rung(failure, reservation=reservation, tries=tries, largest=80 * GIB)


def test_a_trial_that_outgrew_its_share_is_given_half_as_much_again() -> None:
    """With nothing but the cause known, the reservation grows by half."""
    assert Rung(12 * GIB, alone=False) == after(MemoryCause.DEVICE, 8 * GIB)


def test_what_it_had_and_asked_for_counts_where_it_is_more() -> None:
    """One huge allocation is not found by growing step by step."""
    got = after(MemoryCause.DEVICE, 8 * GIB, peak=6 * GIB, asked=14 * GIB)

    assert Rung(24 * GIB, alone=False) == got


def test_the_drivers_context_is_added_to_what_it_had() -> None:
    """A back end counts without the context, a reservation is with it."""
    got = after(MemoryCause.DEVICE, 8 * GIB, limit=7 * GIB, in_use=5 * GIB, asked=14 * GIB)

    assert Rung(24 * GIB, alone=False) == got


def test_the_larger_of_use_and_peak_counts() -> None:
    """A back end that tells both may tell a stale peak."""
    one = after(MemoryCause.DEVICE, GIB, in_use=9 * GIB, peak=GIB, asked=GIB)
    other = after(MemoryCause.DEVICE, GIB, in_use=GIB, peak=9 * GIB, asked=GIB)

    assert Rung(12 * GIB, alone=False) == one == other


@pytest.mark.parametrize(
    "cause", [MemoryCause.DEVICE, MemoryCause.FRAGMENTATION, MemoryCause.WORKSPACE]
)
def test_the_last_try_has_the_largest_device_for_itself(cause: MemoryCause) -> None:
    """What fails there fits nowhere, and is not tried again."""
    assert Rung(80 * GIB, alone=True) == after(cause, 12 * GIB, tries=1)
    assert after(cause, 12 * GIB, tries=2) is None


@pytest.mark.parametrize(
    "cause", [MemoryCause.DEVICE, MemoryCause.FRAGMENTATION, MemoryCause.WORKSPACE]
)
def test_who_had_the_largest_device_already_is_given_nothing_more(cause: MemoryCause) -> None:
    """There is nothing larger to give, however few tries there were."""
    assert after(cause, 80 * GIB) is None


def test_what_reaches_the_largest_device_has_it_alone() -> None:
    """Beside such a reservation there is no room for anything else."""
    assert Rung(80 * GIB, alone=True) == after(MemoryCause.DEVICE, 60 * GIB)


def test_a_fragmented_device_wants_a_margin_only() -> None:
    """There was room enough; a quarter more, or the piece that was asked for, will do."""
    assert Rung(10 * GIB, alone=False) == after(MemoryCause.FRAGMENTATION, 8 * GIB)
    assert Rung(11 * GIB, alone=False) == after(MemoryCause.FRAGMENTATION, 8 * GIB, asked=3 * GIB)


def test_a_library_wants_room_beside_the_tensors() -> None:
    """A workspace does not shrink with the model: small reservations grow by 512 MiB."""
    assert Rung(1536 * MIB, alone=False) == after(MemoryCause.WORKSPACE, GIB)
    assert Rung(10 * GIB, alone=False) == after(MemoryCause.WORKSPACE, 8 * GIB)


def test_a_full_host_is_tried_once_more_with_nothing_beside() -> None:
    """A larger share of a device would not help the host."""
    assert Rung(8 * GIB, alone=True) == after(MemoryCause.HOST, 8 * GIB)
    assert after(MemoryCause.HOST, 8 * GIB, tries=1) is None


def test_the_hosts_fault_is_tried_again_even_on_the_largest_device() -> None:
    """That the device has no more to give does not matter."""
    assert Rung(80 * GIB, alone=True) == after(MemoryCause.HOST, 80 * GIB)


def test_a_device_full_of_others_costs_a_trial_nothing() -> None:
    """It comes back with what it had, and no try is counted."""
    for tries in range(MOST_FOREIGN + 1):
        assert Rung(8 * GIB, alone=False) == after(MemoryCause.FOREIGN, 8 * GIB, tries=tries)
    assert {MemoryCause.FOREIGN} == {cause for cause in MemoryCause if not is_counted(cause)}


@given(failures, st.integers(1, 1 << 38), st.integers(1, 1 << 38), st.integers(0, 5))
def test_a_rung_is_larger_and_fits_or_changes_nothing_but_company(
    failure: OutOfMemory, reservation: int, largest: int, tries: int
) -> None:
    """Only a fault of the host or of others is answered with the same reservation."""
    rung = next_rung(failure, reservation=reservation, tries=tries, largest=largest)

    if failure.cause in {MemoryCause.FOREIGN, MemoryCause.HOST}:
        assert rung is None or rung.bytes == reservation
    else:
        assert rung is None or reservation < rung.bytes <= largest


@given(failures, st.integers(1, 1 << 38), st.integers(1, 1 << 38))
def test_a_ladder_ends(failure: OutOfMemory, reservation: int, largest: int) -> None:
    """A trial that fails for its own sake again and again gets two more tries, no more."""
    rungs: list[Rung] = []
    rung = Rung(reservation, alone=False)
    while is_counted(failure.cause) and len(rungs) < 10:
        following = next_rung(failure, reservation=rung.bytes, tries=len(rungs), largest=largest)
        if following is None:
            break
        rung = following
        rungs.append(rung)

    assert len(rungs) <= MOST_TRIES
    assert all(not earlier.alone for earlier in rungs[:-1])
