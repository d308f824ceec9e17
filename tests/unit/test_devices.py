"""How many trials run at once, and where."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal

import pytest

import aiotune_gpu as gpu
from aiotune._devices import Place, Resources, Wanted, find_resources
from aiotune._gpu import Lease, MemoryRequest
from aiotune.errors import ConfigurationError, DeviceError, NoUsableDevice
from aiotune_gpu.fake import FakeProvider, fake_devices

GPUS = fake_devices(4)


def place_of(resources: Resources, request: MemoryRequest | None = None) -> Place:
    """Where the first lease of an empty ledger puts its attempt."""
    default = MemoryRequest(gpu.GIB, resources.gpus_per_trial if resources.devices else 0)
    lease = resources.ledger().request("0", request or default)
    assert isinstance(lease, Lease)
    return resources.place(lease)


def test_a_lease_pins_its_worker_by_uuid() -> None:
    """Four GPUs, sixteen cores: four threads and one visible GPU each, in PCI order."""
    found = find_resources(Wanted(), provider=FakeProvider(GPUS), environ={}, cores=16)
    ledger = found.ledger()

    places = []
    for trial in "0123":
        lease = ledger.request(trial, MemoryRequest(gpu.GIB))
        assert isinstance(lease, Lease)
        places.append(found.place(lease))

    assert [p.environment["CUDA_VISIBLE_DEVICES"] for p in places] == [d.uuid for d in GPUS]
    assert {p.environment["CUDA_DEVICE_ORDER"] for p in places} == {"PCI_BUS_ID"}
    assert {p.threads for p in places} == {4}
    assert found.probe_environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_worker_is_held_to_its_lease_without_the_drivers_context() -> None:
    """The back end's limit is the lease less what the driver takes for the process."""
    found = find_resources(Wanted(), provider=FakeProvider(GPUS), environ={}, cores=4)
    lease = found.ledger().request("0", MemoryRequest(4 * gpu.GIB))
    assert isinstance(lease, Lease)

    limit = found.place(lease, context=gpu.GIB).limit

    assert limit is not None
    assert (limit.bytes, limit.device_total) == (3 * gpu.GIB, 16 * gpu.GIB)


def test_who_shares_a_gpu_gets_its_part_of_the_cores() -> None:
    """With a neighbour on the GPU, half the threads."""
    found = find_resources(Wanted(), provider=FakeProvider(GPUS), environ={}, cores=16)
    lease = found.ledger().request("0", MemoryRequest(gpu.GIB))
    assert isinstance(lease, Lease)

    assert found.place(lease, neighbours=1).threads == 2


def test_a_trial_sees_as_many_gpus_as_were_asked_for() -> None:
    """gpus_per_trial=2: two trials on four GPUs, each with two."""
    wanted = Wanted(gpus_per_trial=2)
    found = find_resources(wanted, provider=FakeProvider(GPUS), environ={}, cores=8)

    place = place_of(found)

    assert found.most == 2
    assert place.environment["CUDA_VISIBLE_DEVICES"] == f"{GPUS[0].uuid},{GPUS[1].uuid}"
    assert place.threads == 4


def test_processors_next_to_the_gpu_are_preferred() -> None:
    """A worker stays on the processors of its GPU's node, if that is not all of them."""
    mine = sorted(os.sched_getaffinity(0))
    near = replace(GPUS[0], cpus=frozenset(mine[:1]))
    far = replace(GPUS[0], cpus=frozenset({9999}))

    expected = tuple(mine[:1]) if len(mine) > 1 else ()
    found = find_resources(Wanted(), provider=FakeProvider([near]), environ={})
    assert place_of(found).cpus == expected
    found = find_resources(Wanted(), provider=FakeProvider([far]), environ={})
    assert place_of(found).cpus == ()


def test_the_inherited_variable_limits_the_gpus() -> None:
    """CUDA_VISIBLE_DEVICES of the program is its allowance, in its order."""
    found = find_resources(
        Wanted(),
        provider=FakeProvider(GPUS),
        environ={"CUDA_VISIBLE_DEVICES": "2,0"},
        cores=4,
    )

    assert [device.uuid for device in found.devices] == [GPUS[2].uuid, GPUS[0].uuid]


def test_devices_chooses_among_the_visible() -> None:
    """GPUs can be named by index and by UUID."""
    wanted = Wanted(devices=[3, GPUS[1].uuid])
    found = find_resources(wanted, provider=FakeProvider(GPUS), environ={}, cores=4)

    assert [device.uuid for device in found.devices] == [GPUS[3].uuid, GPUS[1].uuid]


@pytest.mark.parametrize(
    ("limit", "per_gpu", "most", "measured"),
    [
        (None, "auto", 16, True),
        (1, "auto", 1, True),
        (99, "auto", 16, True),
        (None, 1, 4, False),
        (None, 3, 12, False),
    ],
)
def test_how_many_trials_run_at_once_on_gpus(
    limit: int | None, per_gpu: int | Literal["auto"], most: int, measured: bool
) -> None:
    """By default GPUs are shared as far as that pays; a number is kept; more than fit is said."""
    wanted = Wanted(max_parallel_trials=limit, max_trials_per_gpu=per_gpu)
    found = find_resources(wanted, provider=FakeProvider(GPUS), environ={}, cores=8)

    assert (found.most, found.measures) == (most, measured)
    assert ("more than there is room for" in found.reason) == (limit == 99)


@pytest.mark.parametrize(
    ("cores", "ram_gib", "most", "threads"),
    [(2, 16, 2, 1), (4, 16, 4, 1), (16, 64, 8, 2), (64, 6, 4, 16), (1, 0.5, 1, 1)],
)
def test_without_gpus_cores_and_memory_decide(
    cores: int, ram_gib: float, most: int, threads: int
) -> None:
    """One trial a core on small machines, one for two on large ones, fewer where memory is short."""
    found = find_resources(
        Wanted(),
        provider=FakeProvider([]),
        environ={},
        cores=cores,
        available_ram=int(ram_gib * gpu.GIB),
    )

    place = place_of(found)
    assert (found.most, place.threads, place.devices) == (most, threads, ())
    assert place.limit is not None
    assert place.limit.device_total == 0


def test_a_number_asked_for_on_the_cpu_is_kept() -> None:
    """max_parallel_trials wins over cores and memory."""
    wanted = Wanted(max_parallel_trials=7)
    found = find_resources(
        wanted, provider=FakeProvider([]), environ={}, cores=2, available_ram=gpu.GIB
    )

    assert found.most == 7


def test_no_devices_means_the_cpu() -> None:
    """``devices=[]`` trains on the CPU although there are GPUs, without asking the driver."""
    provider = FakeProvider(GPUS, unavailable="must not be asked")
    found = find_resources(Wanted(devices=[]), provider=provider, environ={})

    assert place_of(found).environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_the_driver_is_let_go_where_it_is_of_no_use() -> None:
    """A provider without visible GPUs is closed; one with GPUs is kept for the search."""
    useless, useful = FakeProvider([]), FakeProvider(GPUS)

    assert find_resources(Wanted(), provider=useless, environ={}).devices == ()
    assert useless.closed
    assert find_resources(Wanted(), provider=useful, environ={}).provider is useful
    assert not useful.closed


@pytest.mark.parametrize(
    ("devices", "environ", "provider", "error", "text"),
    [
        ([0], {}, FakeProvider([], unavailable="no driver"), NoUsableDevice, "no driver"),
        ([0], {}, FakeProvider([]), NoUsableDevice, "none is visible"),
        ([0], {"CUDA_VISIBLE_DEVICES": ""}, FakeProvider(GPUS), NoUsableDevice, "none is visible"),
        ([7], {}, FakeProvider(GPUS), ConfigurationError, "names no GPU"),
        ([1, 1], {}, FakeProvider(GPUS), ConfigurationError, "twice"),
        (["GPU-no"], {}, FakeProvider(GPUS), ConfigurationError, "names no GPU"),
        (None, {"CUDA_VISIBLE_DEVICES": "9"}, FakeProvider(GPUS), ConfigurationError, "'9' names"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_what_there_is(
    devices: list[int | str] | None,
    environ: dict[str, str],
    provider: FakeProvider,
    error: type[Exception],
    text: str,
) -> None:
    """Asking for a GPU that is not there is a sentence, before anything runs."""
    with pytest.raises(error, match=text):
        find_resources(Wanted(devices=devices), environ=environ, provider=provider)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"max_parallel_trials": 0}, "max_parallel_trials must be .* at least 1"),
        ({"gpus_per_trial": 0}, "gpus_per_trial must be .* at least 1"),
        ({"max_trials_per_gpu": 0}, "at least 1 or 'auto'"),
        ({"max_trials_per_gpu": "many"}, "at least 1 or 'auto'"),
        ({"gpu_memory": "lots"}, "gpu_memory='lots' is not a size.*'8GiB'"),
        ({"gpu_memory": -1}, "gpu_memory=-1 is not a size"),
        ({"gpu_memory": 0}, "no memory at all"),
    ],
    ids=str,
)
def test_what_no_host_could_give_is_refused(wrong: dict[str, Any], text: str) -> None:
    """A wish that makes no sense is a sentence, before anything is looked for."""
    with pytest.raises(ConfigurationError, match=text):
        Wanted(**wrong)


def test_several_mig_instances_for_a_trial_are_refused() -> None:
    """CUDA shows a process one instance only."""
    cut = [replace(d, uuid=f"MIG-{d.index}", mig_parent="GPU-x") for d in GPUS[:2]]

    with pytest.raises(ConfigurationError, match="MIG instances"):
        find_resources(Wanted(gpus_per_trial=2), provider=FakeProvider(cut), environ={})


def test_more_gpus_a_trial_than_there_are_is_refused() -> None:
    """Five of four, and two where there is none."""
    with pytest.raises(ConfigurationError, match="more than the 4 GPU"):
        find_resources(Wanted(gpus_per_trial=5), provider=FakeProvider(GPUS), environ={})
    with pytest.raises(NoUsableDevice, match="gpus_per_trial=2 asks for GPUs"):
        find_resources(Wanted(gpus_per_trial=2), provider=FakeProvider([]), environ={})


def test_a_driver_that_fails_in_the_middle_is_reported() -> None:
    """An error while listing is translated, with a way out."""

    class Dying(FakeProvider):
        def devices(self) -> list[gpu.Device]:
            raise gpu.DeviceLost("GPU 1 fell off the bus")

    with pytest.raises(DeviceError, match="devices=\\[\\] to train on the CPU"):
        find_resources(Wanted(), provider=Dying(GPUS), environ={})


@pytest.mark.parametrize("named", [0, "GPU-x"], ids=str)
def test_a_gpu_that_is_cut_stands_for_all_its_instances(named: int | str) -> None:
    """By index or UUID: each instance can have a trial; an instance's own UUID is that instance."""
    cut = [replace(GPUS[0], uuid=f"MIG-{n}", mig_parent="GPU-x") for n in range(3)]
    provider = FakeProvider([*cut, GPUS[1]])

    found = find_resources(Wanted(devices=[named]), provider=provider, environ={})
    one = find_resources(Wanted(devices=["MIG-1"]), provider=provider, environ={})

    assert found.devices == tuple(cut)
    assert "on 3 GPU(s), 3 of them instances of one that is cut" in found.reason
    assert one.devices == (cut[1],)
    with pytest.raises(ConfigurationError, match="names a GPU twice"):
        find_resources(Wanted(devices=[0, "MIG-1"]), provider=provider, environ={})


def test_what_the_choice_may_have_meant_otherwise_comes_along() -> None:
    """A number among cards of several kinds is read as CUDA reads it, and the doubt is told."""
    mixed = [replace(GPUS[0], name="T400", cores=384), replace(GPUS[1], name="A100", cores=6912)]

    found = find_resources(
        Wanted(), provider=FakeProvider(mixed), environ={"CUDA_VISIBLE_DEVICES": "0"}
    )

    assert found.devices == (mixed[1],)
    assert len(found.doubts) == 1


def test_searches_of_a_host_meet_where_the_environment_says() -> None:
    """In one directory for all, or in none."""
    some = find_resources(Wanted(), provider=FakeProvider(GPUS), environ={})
    none = find_resources(Wanted(), provider=FakeProvider(GPUS), environ={"AIOTUNE_CLAIMS": ""})

    assert some.claims is not None
    assert none.claims is None


def test_a_trial_on_two_unlike_gpus_is_held_to_its_promise_on_each() -> None:
    """The worker learns what each of them has, in the order in which it sees them."""
    unlike = [
        replace(GPUS[0], total_bytes=80 * gpu.GIB),
        replace(GPUS[1], total_bytes=24 * gpu.GIB),
    ]
    found = find_resources(Wanted(gpus_per_trial=2), provider=FakeProvider(unlike), environ={})

    place = place_of(found, MemoryRequest(20 * gpu.GIB, 2))

    assert place.limit is not None
    assert place.environment["CUDA_VISIBLE_DEVICES"] == f"{GPUS[1].uuid},{GPUS[0].uuid}"
    assert place.limit.totals == (24 * gpu.GIB, 80 * gpu.GIB)
    assert place.limit.fractions == (20 / 24, 0.25)
