"""Where a request goes: never over capacity, and where it leaves the least unused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu import GIB, DeviceState, MemoryRequest, NeverFits, NotNow, Placement, best_fit


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
    """Of the devices with room the emptiest of leases are taken, and of these the fullest."""
    decision = best_fit(request, states)
    if isinstance(decision, Placement):
        free = [s for s in states if _fits(request, s)]
        taken = [(s.leases, s.available) for s in free if s.uuid in decision.uuids]
        left = [(s.leases, s.available) for s in free if s.uuid not in decision.uuids]
        assert max(taken) <= min(left, default=max(taken))


@given(_requests, st.permutations(range(4)))
def test_the_order_of_the_states_does_not_matter(request: MemoryRequest, order: list[int]) -> None:
    """Equal devices are told apart by UUID, so the same question has one answer."""
    states = [DeviceState(f"GPU-{i}", 20, 20) for i in range(4)]

    assert best_fit(request, states) == best_fit(request, [states[i] for i in order])


def test_a_small_request_leaves_the_large_device_whole() -> None:
    """It goes to the partly filled device, which it fills up."""
    states = [_state("large", 80), _state("part", 80, 10), _state("small", 24)]

    assert best_fit(MemoryRequest(8 * GIB), states) == Placement(("part",))


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
