"""Who holds how much: what was promised, and what is measured."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aiotune_gpu import (
    GIB,
    Claim,
    ComputeMode,
    DeviceLost,
    DeviceMemory,
    Lease,
    LeaseError,
    LeaseLedger,
    MemoryRequest,
    NeverFits,
    NotNow,
    NvmlUnavailable,
    Placement,
)
from aiotune_gpu.fake import FakeProvider, fake_devices


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


def memory(used: int, *, kept: int = 0, total: int = 16 * GIB) -> DeviceMemory:
    """What a device of 16 GiB says."""
    return DeviceMemory(total, used, total - used - kept, kept)


def granted(ledger: LeaseLedger, holder: str, request: MemoryRequest) -> Lease:
    """A lease that fits."""
    lease = ledger.request(holder, request)
    assert isinstance(lease, Lease), lease
    return lease


def test_memory_of_others_is_not_given_out() -> None:
    """What a device has in use beyond the promises, and what its driver keeps, is somebody else's."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=0)
    granted(ledger, "mine", MemoryRequest(4 * GIB))

    ledger.measure(device.uuid, memory(10 * GIB, kept=GIB))
    ledger.measure("GPU-x", DeviceMemory(1, 1, 0))

    (state,) = ledger.states()
    assert state.capacity == 15 * GIB
    assert state.available == 15 * GIB - 4 * GIB - 6 * GIB


def test_what_was_in_use_before_the_first_lease_stays_somebody_elses() -> None:
    """A holder that has allocated nothing yet does not hide what others already had."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=0)
    ledger.measure(device.uuid, memory(6 * GIB))
    granted(ledger, "mine", MemoryRequest(8 * GIB))

    ledger.measure(device.uuid, memory(6 * GIB))
    assert ledger.states()[0].available == 2 * GIB
    ledger.measure(device.uuid, memory(14 * GIB))
    assert ledger.states()[0].available == 2 * GIB
    ledger.measure(device.uuid, memory(8 * GIB))  # they left, or we did: not more than promised
    assert ledger.states()[0].available == 2 * GIB
    ledger.measure(device.uuid, memory(1 * GIB))
    assert ledger.states()[0].available == 7 * GIB


def test_known_use_of_holders_tells_exactly_what_is_others() -> None:
    """Where the driver tells who uses what, nothing has to be assumed."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=0)
    lease = granted(ledger, "mine", MemoryRequest(8 * GIB))

    ledger.measure(device.uuid, memory(5 * GIB), {lease.number: 1 * GIB})

    assert ledger.states()[0].available == 16 * GIB - 8 * GIB - 4 * GIB


def test_a_holder_that_takes_more_than_its_promise_leaves_less_for_others() -> None:
    """What goes beyond a promise is not given out a second time."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=0)
    lease = granted(ledger, "mine", MemoryRequest(4 * GIB))

    ledger.measure(device.uuid, memory(7 * GIB), {lease.number: 7 * GIB})

    assert ledger.states()[0].available == 9 * GIB


def test_memory_that_a_dead_holder_has_not_given_back_is_not_given_out() -> None:
    """A released lease whose memory is still in use counts as others' until it is free."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=0)
    lease = granted(ledger, "dead", MemoryRequest(10 * GIB))
    ledger.release(lease)

    ledger.measure(device.uuid, memory(10 * GIB))
    assert isinstance(ledger.request("next", MemoryRequest(10 * GIB)), NotNow)
    ledger.measure(device.uuid, memory(0))
    granted(ledger, "next", MemoryRequest(10 * GIB))


def test_a_closed_device_gets_nothing_until_it_is_reopened() -> None:
    """A device that is out of order cannot be waited for."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device])

    ledger.close(device.uuid)
    answer = ledger.request("h", MemoryRequest(1))
    assert isinstance(answer, NeverFits)
    assert "1 more are out of order" in answer.reason
    ledger.reopen(device.uuid)
    granted(ledger, "h", MemoryRequest(1))


def test_who_is_alone_gets_all_that_there_is() -> None:
    """An exclusive lease is as large as what the device has free."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=GIB)
    ledger.measure(device.uuid, memory(2 * GIB))

    assert granted(ledger, "alone", MemoryRequest(1, exclusive=True)).bytes == 13 * GIB


def test_a_limit_bounds_the_leases_on_a_device() -> None:
    """No more than so many share it; a device in exclusive mode is never shared."""
    shared, exclusive = fake_devices(2)
    exclusive = replace(exclusive, mode=ComputeMode.EXCLUSIVE)
    ledger = LeaseLedger([shared, exclusive], most=2)
    ledger.limit(exclusive.uuid, 5)

    places = [granted(ledger, str(i), MemoryRequest(1)).uuids for i in range(3)]

    assert sorted(places) == sorted([(shared.uuid,), (exclusive.uuid,), (shared.uuid,)])
    assert isinstance(ledger.request("fourth", MemoryRequest(1)), NotNow)


def test_a_device_is_kept_for_one_that_would_starve() -> None:
    """Others stay off until it has its lease, even where they would fit."""
    large, small = fake_devices(1)[0], replace(fake_devices(2)[1], total_bytes=4 * GIB)
    ledger = LeaseLedger([large, small], reserve=0)
    running = granted(ledger, "small", MemoryRequest(5 * GIB))
    wanted = MemoryRequest(14 * GIB)
    assert isinstance(ledger.request("large", wanted), NotNow)

    assert ledger.keep("large", wanted) == (large.uuid,)
    assert ledger.keep("another", wanted) == ()
    assert isinstance(ledger.request("next", MemoryRequest(5 * GIB)), NotNow)
    assert granted(ledger, "tiny", MemoryRequest(GIB)).uuids == (small.uuid,)
    ledger.release(running)
    assert granted(ledger, "large", wanted).uuids == (large.uuid,)
    granted(ledger, "next", MemoryRequest(2 * GIB))


def test_the_hosts_memory_is_a_resource_like_the_others() -> None:
    """Leases share it, what others take is measured, and a holder that is alone may always try."""
    ledger = LeaseLedger([], host=8 * GIB)
    big = MemoryRequest(0, devices=0, host_bytes=6 * GIB)
    first = granted(ledger, "first", big)
    answer = ledger.request("second", big)
    assert isinstance(answer, NotNow)
    assert "6.0 GiB of the host's memory" in answer.reason

    ledger.measure_host(1 * GIB, {first.number: 2 * GIB})
    assert ledger.host.available == 0
    ledger.measure_host(5 * GIB, {first.number: 2 * GIB})
    assert ledger.host.available == 1 * GIB
    ledger.release(first)
    granted(ledger, "huge", MemoryRequest(0, devices=0, host_bytes=60 * GIB))


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


def test_the_host_can_be_had_alone_as_well() -> None:
    """Without devices, alone means that nobody else holds a lease of the host."""
    ledger = LeaseLedger([], host=8 * GIB)
    alone = MemoryRequest(0, devices=0, exclusive=True)
    first = granted(ledger, "first", MemoryRequest(0, devices=0))
    assert isinstance(ledger.request("alone", alone), NotNow)

    ledger.release(first)
    lease = granted(ledger, "alone", alone)
    assert isinstance(ledger.request("third", MemoryRequest(0, devices=0)), NotNow)
    ledger.release(lease)
    granted(ledger, "third", MemoryRequest(0, devices=0))


def test_what_others_hold_all_the_time_is_measured_while_nothing_of_ours_is_there() -> None:
    """What a holder said it had when it was gone already would otherwise count as the others' being less."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device])
    ledger.measure(device.uuid, DeviceMemory(16 * GIB, 2 * GIB, 14 * GIB))
    lease = ledger.request("trial", MemoryRequest(4 * GIB))
    assert isinstance(lease, Lease)

    ledger.measure(device.uuid, DeviceMemory(16 * GIB, 2 * GIB, 14 * GIB), {lease.number: 3 * GIB})
    (beside,) = ledger.states()
    ledger.release(lease)
    ledger.measure(device.uuid, DeviceMemory(16 * GIB, GIB, 15 * GIB))
    (alone,) = ledger.states()

    assert (beside.others, alone.others) == (2 * GIB, GIB)


def test_a_desktop_is_no_stranger_that_a_device_is_avoided_for() -> None:
    """Half a GiB leaves the small device the first choice for small requests; six do not."""
    large, small = fake_devices(1)[0], replace(fake_devices(2)[1], total_bytes=8 * GIB)
    ledger = LeaseLedger([large, small])
    ledger.measure(small.uuid, memory(GIB // 2, total=8 * GIB))
    assert ledger.decide("h", MemoryRequest(GIB)) == Placement((small.uuid,))

    ledger.measure(small.uuid, memory(6 * GIB, total=8 * GIB))
    assert ledger.decide("h", MemoryRequest(GIB)) == Placement((large.uuid,))


def test_a_device_that_has_the_hosts_memory_takes_one_at_a_time() -> None:
    """Nothing tells who has what of it, and the others are shared as ever."""
    unified, other = fake_devices(2)
    ledger = LeaseLedger([replace(unified, unified=True), other], most=4)
    ledger.limit(unified.uuid, 4)

    places = [granted(ledger, str(i), MemoryRequest(GIB)).uuids[0] for i in range(5)]

    assert places.count(unified.uuid) == 1
    assert places.count(other.uuid) == 4


def test_what_others_claim_makes_a_device_the_less_eligible() -> None:
    """One claim counts like one lease, and once with the memory that is already in use."""
    first, second = fake_devices(2)
    ledger = LeaseLedger([first, second], reserve=0)
    ledger.measure(first.uuid, memory(8 * GIB))
    ledger.heed([Claim("a", first.uuid, 8 * GIB), Claim("a", "GPU-x", 8 * GIB)])

    (state, _) = ledger.states()
    assert (state.guests, state.foreign, state.available) == (1, 8 * GIB, 8 * GIB)
    assert ledger.known == {"a"}
    assert ledger.decide("h", MemoryRequest(GIB)) == Placement((second.uuid,))
    ledger.heed([])
    ledger.measure(first.uuid, memory(0))
    assert ledger.decide("h", MemoryRequest(GIB)) == Placement((first.uuid,))


def test_what_is_claimed_is_left_free_by_all_but_the_first() -> None:
    """Who holds nothing may try with what is measured; who holds something leaves the rest to the claim."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=0)
    ledger.heed([Claim("a", device.uuid, 14 * GIB)])

    granted(ledger, "first", MemoryRequest(4 * GIB))

    assert isinstance(ledger.request("second", MemoryRequest(GIB)), NotNow)


def test_another_search_is_no_desktop_however_long_it_is_there() -> None:
    """What others hold all the time is known when the search has gone, and not before."""
    (device,) = fake_devices(1)
    ledger = LeaseLedger([device], reserve=0)
    ledger.heed([Claim("a", device.uuid, 2 * GIB)])

    ledger.measure(device.uuid, memory(3 * GIB))

    (beside,) = ledger.states()
    ledger.heed([])
    ledger.measure(device.uuid, memory(GIB))
    (after,) = ledger.states()
    assert (beside.others, beside.foreign) == (0, 3 * GIB)
    assert (after.others, after.foreign) == (GIB, GIB)
