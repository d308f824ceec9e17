"""How many trials run at once, and where."""

from __future__ import annotations

import pytest

import gpu
from aiotune._devices import plan_slots
from aiotune.errors import ConfigurationError, DeviceError, NoUsableDevice
from gpu.fake import FakeProvider, fake_devices

GPUS = fake_devices(4)


def test_each_gpu_is_a_slot_pinned_by_uuid() -> None:
    """Four GPUs, sixteen cores: four slots of four threads, each seeing its own GPU."""
    plan = plan_slots(max_parallel_trials=None, provider=FakeProvider(GPUS), environ={}, cores=16)

    pinned = [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in plan.slots]
    assert pinned == [device.uuid for device in GPUS]
    assert {slot.threads for slot in plan.slots} == {4}
    assert {slot.environment["CUDA_DEVICE_ORDER"] for slot in plan.slots} == {"PCI_BUS_ID"}
    assert plan.probe_environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_the_inherited_variable_limits_the_gpus() -> None:
    """CUDA_VISIBLE_DEVICES of the program is its allowance, in its order."""
    plan = plan_slots(
        max_parallel_trials=None,
        provider=FakeProvider(GPUS),
        environ={"CUDA_VISIBLE_DEVICES": "2,0"},
        cores=4,
    )

    assert [slot.device for slot in plan.slots] == [GPUS[2].uuid, GPUS[0].uuid]


def test_devices_chooses_among_the_visible() -> None:
    """GPUs can be named by index and by UUID."""
    plan = plan_slots(
        max_parallel_trials=None,
        devices=[3, GPUS[1].uuid],
        provider=FakeProvider(GPUS),
        environ={},
        cores=4,
    )

    assert [slot.device for slot in plan.slots] == [GPUS[3].uuid, GPUS[1].uuid]


@pytest.mark.parametrize(("asked", "slots"), [(1, 1), (2, 2), (9, 4)])
def test_max_parallel_trials_bounds_the_gpus(asked: int, slots: int) -> None:
    """Fewer trials than GPUs use the first; more than there are is said in the reason."""
    plan = plan_slots(max_parallel_trials=asked, provider=FakeProvider(GPUS), environ={}, cores=8)

    assert len(plan.slots) == slots
    assert ("more than there are" in plan.reason) == (asked > 4)


@pytest.mark.parametrize(
    ("cores", "ram_gib", "slots", "threads"),
    [(2, 16, 2, 1), (4, 16, 4, 1), (16, 64, 8, 2), (64, 6, 4, 16), (1, 0.5, 1, 1)],
)
def test_without_gpus_cores_and_memory_decide(
    cores: int, ram_gib: float, slots: int, threads: int
) -> None:
    """One slot a core on small machines, one for two on large ones, fewer where memory is short."""
    plan = plan_slots(
        max_parallel_trials=None,
        provider=FakeProvider([]),
        environ={},
        cores=cores,
        available_ram=int(ram_gib * gpu.GIB),
    )

    assert (len(plan.slots), plan.slots[0].threads) == (slots, threads)
    assert all(slot.device is None for slot in plan.slots)


def test_a_number_asked_for_on_the_cpu_is_kept() -> None:
    """max_parallel_trials wins over cores and memory."""
    plan = plan_slots(
        max_parallel_trials=7,
        provider=FakeProvider([]),
        environ={},
        cores=2,
        available_ram=gpu.GIB,
    )

    assert len(plan.slots) == 7


def test_no_devices_means_the_cpu() -> None:
    """``devices=[]`` trains on the CPU although there are GPUs, without asking the driver."""
    plan = plan_slots(
        max_parallel_trials=1,
        devices=[],
        provider=FakeProvider(GPUS, unavailable="must not be asked"),
        environ={},
    )

    assert plan.slots[0].environment["CUDA_VISIBLE_DEVICES"] == "-1"


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
        plan_slots(max_parallel_trials=None, devices=devices, environ=environ, provider=provider)


def test_no_trials_at_once_is_refused() -> None:
    """max_parallel_trials must be at least one."""
    with pytest.raises(ConfigurationError, match="at least 1"):
        plan_slots(max_parallel_trials=0)


def test_a_driver_that_fails_in_the_middle_is_reported() -> None:
    """An error while listing is translated, with a way out."""

    class Dying(FakeProvider):
        def devices(self) -> list[gpu.Device]:
            raise gpu.DeviceLost("GPU 1 fell off the bus")

    with pytest.raises(DeviceError, match="devices=\\[\\] to train on the CPU"):
        plan_slots(max_parallel_trials=None, provider=Dying(GPUS), environ={})
