"""Where a request goes: never over capacity, and where it leaves the least unused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune_gpu import GIB, DeviceState, MemoryRequest, NeverFits, NotNow, Placement, best_fit


def _state(uuid: str, capacity: int, available: int | None = None, **others: int) -> DeviceState:
    free = capacity if available is None else available
    return DeviceState(
        uuid,
        capacity * GIB,
        free * GIB,
        leases=others.get("leases", 0),
        closed=bool(others.get("closed", 0)),
    )


@st.composite
def _states(draw: st.DrawFn) -> list[DeviceState]:
    made = []
    for number in range(draw(st.integers(0, 6))):
        capacity = draw(st.integers(0, 20))
        made.append(
            DeviceState(
                f"GPU-{number}",
                capacity,
                draw(st.integers(0, capacity)),
                leases=draw(st.integers(0, 2)),
                closed=draw(st.booleans()),
            )
        )
    return made


_requests = st.builds(MemoryRequest, st.integers(0, 25), st.integers(1, 4), st.booleans())


def _fits(request: MemoryRequest, state: DeviceState) -> bool:
    crowded = request.exclusive and state.leases > 0
    return not state.closed and not crowded and request.bytes <= state.available


@given(_requests, _states())
def test_a_request_is_placed_exactly_where_it_can_be(
    request: MemoryRequest, states: list[DeviceState]
) -> None:
    """Placed if and only if enough devices have room now; refused for ever only if too few could."""
    free = [s for s in states if _fits(request, s)]
    match best_fit(request, states):
        case Placement(uuids):
            assert len(set(uuids)) == request.devices
            assert set(uuids) <= {s.uuid for s in free}
        case NotNow():
            assert len(free) < request.devices
            assert sum(s.capacity >= request.bytes for s in states) >= request.devices
        case NeverFits():
            assert sum(s.capacity >= request.bytes for s in states) < request.devices


@given(_requests, _states())
def test_no_device_passed_over_would_have_fitted_better(
    request: MemoryRequest, states: list[DeviceState]
) -> None:
    """Of the devices with room those with the fewest holders are taken, and of these the smallest."""
    decision = best_fit(request, states)
    if isinstance(decision, Placement):
        free = [s for s in states if _fits(request, s)]
        taken = [(s.leases + s.guests, s.capacity) for s in free if s.uuid in decision.uuids]
        left = [(s.leases + s.guests, s.capacity) for s in free if s.uuid not in decision.uuids]
        assert max(taken) <= min(left, default=max(taken))


@given(_requests, st.permutations(range(4)))
def test_equal_devices_are_taken_in_the_order_given(
    request: MemoryRequest, order: list[int]
) -> None:
    """That is the order in which the user named them, or that of their indices."""
    states = [DeviceState(f"GPU-{i}", 20, 20) for i in order]
    decision = best_fit(request, states)

    if isinstance(decision, Placement):
        assert decision.uuids == tuple(f"GPU-{i}" for i in order[: request.devices])


def test_a_small_request_leaves_the_large_device_whole() -> None:
    """It goes to the smallest kind of device that is large enough, and is idle."""
    states = [_state("large", 80), _state("small", 24), _state("tiny", 6)]

    assert best_fit(MemoryRequest(8 * GIB), states) == Placement(("small",))


def test_what_strangers_left_of_a_device_makes_it_no_better() -> None:
    """A colleague holds 60 of 80 GiB of the fourth of eight: it comes last, alone or not."""
    states = [_state(str(number), 80) for number in range(8)]
    states[3] = DeviceState("3", 80 * GIB, 20 * GIB, foreign=60 * GIB, guests=1)

    for exclusive in (True, False):
        request = MemoryRequest(8 * GIB, exclusive=exclusive)
        assert best_fit(request, states) == Placement(("0",))
        assert best_fit(request, [states[3], *states[4:]]) == Placement(("4",))
        assert best_fit(MemoryRequest(8 * GIB, 8, exclusive=exclusive), states) == Placement(
            ("0", "1", "2", "4", "5", "6", "7", "3")
        )


def test_where_others_are_everywhere_the_least_used_device_is_taken() -> None:
    """Of one kind the one of which they hold least, and a smaller kind before it."""
    busy = [
        DeviceState("full", 80 * GIB, 20 * GIB, foreign=60 * GIB, guests=1),
        DeviceState("half", 80 * GIB, 40 * GIB, foreign=40 * GIB, guests=1),
        DeviceState("small", 24 * GIB, 12 * GIB, foreign=12 * GIB, guests=1),
    ]

    assert best_fit(MemoryRequest(8 * GIB), busy) == Placement(("small",))
    assert best_fit(MemoryRequest(16 * GIB), busy) == Placement(("half",))


def test_two_devices_of_a_kind_may_differ_by_a_little() -> None:
    """A few MiB that a driver keeps do not make the smaller of two the better place beside others."""
    states = [
        DeviceState("a", 79 * GIB, 19 * GIB, foreign=60 * GIB, guests=1),
        DeviceState("b", 80 * GIB, 70 * GIB, foreign=10 * GIB, guests=1),
    ]

    assert best_fit(MemoryRequest(8 * GIB), states) == Placement(("b",))


def test_leases_gather_where_ours_are() -> None:
    """Where every device is shared, the fullest of ours that has room, before one with strangers."""
    states = [
        DeviceState("stranger", 80 * GIB, 70 * GIB, foreign=10 * GIB, guests=1),
        DeviceState("little", 80 * GIB, 70 * GIB, leases=1, promised=10 * GIB),
        DeviceState("much", 80 * GIB, 20 * GIB, leases=1, promised=60 * GIB),
    ]

    assert best_fit(MemoryRequest(8 * GIB), states) == Placement(("much",))
    assert best_fit(MemoryRequest(30 * GIB), states) == Placement(("little",))


def test_an_exclusive_request_waits_for_an_empty_device() -> None:
    """Memory alone is not enough while somebody is there."""
    request = MemoryRequest(8 * GIB, exclusive=True)
    busy, empty = _state("busy", 16, 15, leases=1), _state("empty", 80)

    assert best_fit(request, [busy, empty]) == Placement(("empty",))
    assert isinstance(best_fit(request, [busy]), NotNow)


def test_a_closed_device_is_a_matter_of_time() -> None:
    """It may be opened again, so the request is not refused for ever."""
    decision = best_fit(MemoryRequest(8 * GIB), [_state("closed", 16, closed=1)])

    assert decision == NotNow("0 of 1 device(s) have 8.0 GiB free now.")


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        (
            [_state("a", 24), _state("b", 16)],
            "1 device(s) with 40.0 GiB are needed; there are 0, and the largest of 2 can give 24.0 GiB.",
        ),
        (
            [],
            "1 device(s) with 40.0 GiB are needed; there are 0, and the largest of 0 can give 0 B.",
        ),
    ],
)
def test_a_refusal_has_the_numbers(states: list[DeviceState], reason: str) -> None:
    """What was asked, and the most that any device can give."""
    assert best_fit(MemoryRequest(40 * GIB), states) == NeverFits(reason)
