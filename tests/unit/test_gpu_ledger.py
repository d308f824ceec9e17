"""Sizes, placement, and who holds how much."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu import (
    GIB,
    DeviceLost,
    DeviceMemory,
    DeviceState,
    Lease,
    LeaseError,
    LeaseLedger,
    MemoryRequest,
    NeverFits,
    NotNow,
    NvmlUnavailable,
    Placement,
    best_fit,
    format_bytes,
    parse_bytes,
)
from gpu.fake import FakeProvider, fake_devices


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8GiB", 8 << 30),
        ("500 MB", 500_000_000),
        ("1.5kib", 1536),
        ("7", 7),
        (12, 12),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes_are_read(text: str | int, count: int) -> None:
    """Numbers with units of either kind, or plain bytes."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["lots", "", "-1", "8 GiBs", -3, True, "1e9"])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    """The sentence shows how to write one."""
    with pytest.raises(ValueError, match="'8GiB'"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (int(22.5 * GIB), "22.5 GiB"), (3 << 50, "3072.0 TiB")],
)
def test_sizes_are_shown(count: int, text: str) -> None:
    """One digit after the point, in the largest fitting unit."""
    assert format_bytes(count) == text


def state(uuid: str, capacity: int, available: int, **kwargs: object) -> DeviceState:
    return DeviceState(uuid, capacity, available, **kwargs)  # type: ignore[arg-type]


def test_a_request_goes_where_it_leaves_least() -> None:
    """Small requests gather on small or partly filled devices."""
    states = [state("big", 100, 100), state("small", 30, 30), state("filled", 100, 25)]

    assert best_fit(MemoryRequest(20), states) == Placement(("filled",))
    assert best_fit(MemoryRequest(28), states) == Placement(("small",))
    assert best_fit(MemoryRequest(50), states) == Placement(("big",))
    assert best_fit(MemoryRequest(20, devices=2), states) == Placement(("filled", "small"))


def test_never_and_not_now_are_told_apart() -> None:
    """Too large for any device, or only for what is free at present."""
    states = [state("a", 100, 10, leases=1), state("b", 50, 50, closed=True)]

    assert isinstance(best_fit(MemoryRequest(101), states), NeverFits)
    assert isinstance(best_fit(MemoryRequest(20, devices=3), states), NeverFits)
    assert isinstance(best_fit(MemoryRequest(60), states), NotNow)
    assert isinstance(best_fit(MemoryRequest(5, exclusive=True), states), NotNow)
    assert isinstance(best_fit(MemoryRequest(1), []), NeverFits)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.booleans()), max_size=6),
    st.integers(0, 120),
    st.integers(1, 3),
)
def test_a_placement_always_fits(
    devices: list[tuple[int, int, bool]], size: int, count: int
) -> None:
    """Whatever the devices: a placement names different open devices with enough memory."""
    states = [
        state(str(i), max(c, a), a, closed=closed) for i, (c, a, closed) in enumerate(devices)
    ]

    decision = best_fit(MemoryRequest(size, devices=count), states)

    if isinstance(decision, Placement):
        chosen = [states[int(uuid)] for uuid in decision.uuids]
        assert len(set(decision.uuids)) == count
        assert all(s.available >= size and not s.closed for s in chosen)


@pytest.mark.parametrize("seed", range(20))
def test_random_walks_never_promise_too_much(seed: int) -> None:
    """Promised and free memory make up the capacity, whatever is granted and given back."""
    rng = random.Random(seed)
    devices = fake_devices(3)
    ledger = LeaseLedger(devices, reserve=GIB)
    held: list[Lease] = []
    for _ in range(300):
        if held and rng.random() < 0.45:
            ledger.release(held.pop(rng.randrange(len(held))))
        else:
            request = MemoryRequest(rng.randint(0, 17 * GIB), exclusive=rng.random() < 0.1)
            answer = ledger.request("holder", request)
            if isinstance(answer, Lease):
                held.append(answer)
        for device, now in zip(devices, ledger.states(), strict=True):
            promised = sum(lease.bytes for lease in held if device.uuid in lease.uuids)
            assert promised + now.available == now.capacity == device.total_bytes - GIB
    for lease in held:
        ledger.release(lease)
    assert ledger.leases == ()


def test_a_lease_is_given_back_once() -> None:
    """The second time is an error that names the holder."""
    ledger = LeaseLedger(fake_devices(1))
    lease = ledger.request("mine", MemoryRequest(1))
    assert isinstance(lease, Lease)
    ledger.release(lease)

    with pytest.raises(LeaseError, match="mine was given back twice"):
        ledger.release(lease)


def test_a_grant_over_the_capacity_is_refused() -> None:
    """A placement that is out of date cannot be used."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device])

    with pytest.raises(LeaseError, match=r"17\.0 GiB"):
        ledger.grant("h", MemoryRequest(17 * GIB), Placement((device.uuid,)))
    with pytest.raises(LeaseError, match="no such device"):
        ledger.grant("h", MemoryRequest(1), Placement(("GPU-gone",)))


def test_memory_of_others_is_not_given_out() -> None:
    """What a device has in use beyond the promises belongs to somebody else."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device])
    ledger.request("mine", MemoryRequest(4 * GIB))

    ledger.reconcile(
        {
            device.uuid: DeviceMemory(16 * GIB, 10 * GIB, 5 * GIB, GIB),
            "GPU-x": DeviceMemory(1, 1, 0),
        }
    )

    assert ledger.states()[0].available == 16 * GIB - 4 * GIB - 7 * GIB


def test_a_closed_device_gets_nothing_until_it_is_reopened() -> None:
    """A device that is out of order is left alone."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device])

    ledger.close(device.uuid)
    assert isinstance(ledger.request("h", MemoryRequest(1)), NotNow)
    ledger.reopen(device.uuid)
    assert isinstance(ledger.request("h", MemoryRequest(1)), Lease)


def test_the_fake_can_fail() -> None:
    """Lost devices, a missing driver and closing are scripted."""
    devices = fake_devices(2)
    provider = FakeProvider(devices, lost={devices[1].uuid})

    with pytest.raises(DeviceLost):
        provider.memory(devices[1].uuid)
    provider.unavailable = "gone"
    with pytest.raises(NvmlUnavailable, match="gone"):
        provider.devices()
    provider.close()
    assert provider.closed
