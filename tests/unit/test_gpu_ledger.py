"""Who holds how much: what was promised, and what is measured."""

from __future__ import annotations

import random

import pytest

from gpu import (
    GIB,
    DeviceLost,
    DeviceMemory,
    Lease,
    LeaseError,
    LeaseLedger,
    MemoryRequest,
    NotNow,
    NvmlUnavailable,
    Placement,
)
from gpu.fake import FakeProvider, fake_devices


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


def test_a_lease_of_another_ledger_is_refused() -> None:
    """Numbers repeat between ledgers, and one must not free what the other promised."""
    devices = fake_devices(1)
    mine, other = LeaseLedger(devices), LeaseLedger(devices)
    kept = mine.request("mine", MemoryRequest(GIB))
    foreign = other.request("other", MemoryRequest(2 * GIB))
    assert isinstance(foreign, Lease)

    with pytest.raises(LeaseError, match="another ledger's"):
        mine.release(foreign)
    assert mine.leases == (kept,)


def test_an_exclusive_grant_needs_an_empty_device() -> None:
    """A placement found before somebody else moved in cannot be used; alone means alone."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device])
    ledger.request("first", MemoryRequest(GIB))

    with pytest.raises(LeaseError, match="alone, on which there are 1 lease"):
        ledger.grant("second", MemoryRequest(GIB, exclusive=True), Placement((device.uuid,)))


def test_nobody_joins_an_exclusive_lease() -> None:
    """The rest of the memory stays unused until the lease is given back."""
    ledger = LeaseLedger(fake_devices(1))
    alone = ledger.request("alone", MemoryRequest(GIB, exclusive=True))
    assert isinstance(alone, Lease)
    assert isinstance(ledger.request("other", MemoryRequest(GIB)), NotNow)

    ledger.release(alone)
    assert isinstance(ledger.request("other", MemoryRequest(GIB)), Lease)


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
