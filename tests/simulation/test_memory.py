"""Whole searches on simulated GPUs: who gets how much, and what follows when it was not enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from aiotune._devices import Resources
from aiotune.errors import DeviceError, SearchAborted
from aiotune.executors import Script
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import MemoryPeak, ModelSize
from aiotune.oracles import RandomSearchOracle
from aiotune.status import TrialStatus
from aiotune.testing import Simulation, completes
from aiotune.wire import Done, Failed, Hello, RunAttempt, RunWeighing, Weighed
from aiotune_gpu import GIB, MIB, Device, DeviceProcess
from aiotune_gpu.fake import FakeProvider, fake_devices

pytestmark = pytest.mark.virtual_time


def sized(weights: int, **more: Any) -> ModelSize:
    """A model without optimizer or outputs: what is predicted is twice its weights."""
    return ModelSize(
        backend="jax",
        parameters=weights // 4,
        trainable_parameters=weights // 4,
        weight_bytes=weights,
        gradient_bytes=weights,
        slot_bytes=0,
        **more,
    )


def weighed(size: ModelSize | None) -> Weighed:
    return Weighed(size=size, values={}, entries=[], why="" if size else "for a reason")


def oracle(trials: int, **options: Any) -> RandomSearchOracle:
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    return RandomSearchOracle("loss", max_trials=trials, hyperparameters=hp, seed=1, **options)


def boxed(devices: list[Device], per_gpu: int = 4, **options: Any) -> Resources:
    return Resources(
        most=len(devices) * per_gpu,
        reason="simulated",
        devices=tuple(devices),
        most_per_device=per_gpu,
        measures=per_gpu > 1,
        cores=8,
        **({"provider": FakeProvider(devices)} | options),
    )


def simulation(
    trials: int,
    resources: Resources,
    act: Callable[[RunAttempt], Script] = lambda order: completes(order, 0.5),
    *,
    weigh: Callable[[RunWeighing], Weighed | Failed] = lambda _: weighed(sized(GIB)),
    **options: Any,
) -> Simulation:
    return Simulation(oracle(trials, **options), act, resources=resources, weigh=weigh)


def no_room(order: RunAttempt, cause: MemoryCause = MemoryCause.DEVICE, asked: int = GIB) -> Script:
    """The script of a worker whose memory runs out at its limit."""
    limit = order.memory.bytes if order.memory is not None else None
    memory = OutOfMemory(cause=cause, asked=asked, limit=limit, in_use=limit, peak=limit)
    failure = TrialFailure(
        kind=FailureKind.OUT_OF_MEMORY, type="OutOfMemoryError", message="no room", memory=memory
    )
    return Script([(1.0, Failed(failure=failure, values={}, entries=[]))])


def where(sim: Simulation) -> list[str]:
    return [
        o.environment["CUDA_VISIBLE_DEVICES"]
        for o in sim.executor.launched
        if isinstance(o, RunAttempt)
    ]


def limits(sim: Simulation) -> list[int]:
    return [o.memory.bytes for o in sim.executor.launched if isinstance(o, RunAttempt) and o.memory]


async def test_idle_gpus_come_before_shared_ones() -> None:
    """Four small trials on two GPUs: one on each, then the second on each."""
    devices = fake_devices(2)
    sim = simulation(4, boxed(devices))

    await sim.run()

    assert sorted(where(sim)[:2]) == sorted(where(sim)[2:]) == sorted(d.uuid for d in devices)
    assert sim.executor.peak >= 4


async def test_an_unknown_model_gets_a_gpu_alone() -> None:
    """What could not be weighed shares with nobody, and may use all that is free."""
    sim = simulation(3, boxed(fake_devices(1)), weigh=lambda _: weighed(None))

    await sim.run()

    assert sum(r["alone"] for r in sim.log.named("attempt_started")) == 3
    assert min(limits(sim)) > 14 * GIB


async def test_what_runs_out_of_memory_climbs() -> None:
    """More, then a GPU alone; no retry is used up, and each step is one line."""

    def act(order: RunAttempt) -> Script:
        assert order.memory is not None
        return completes(order, 0.5) if order.memory.bytes > 12 * GIB else no_room(order)

    sim = simulation(1, boxed(fake_devices(1)), act)

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    retries = sim.log.named("trial_retry")
    assert (trial.status, trial.failures, trial.attempts) == (TrialStatus.COMPLETED, 0, 3)
    assert [r["alone"] for r in retries] == [False, True]
    assert limits(sim) == sorted(limits(sim))
    assert [r["failure_kind"] for r in retries] == ["out_of_memory"] * 2


async def test_what_fits_nowhere_is_rejected_with_numbers_and_costs_no_budget() -> None:
    """After the last rung the trial is REJECTED; another configuration is tried in its place."""
    sim = simulation(
        2,
        boxed(fake_devices(1)),
        lambda order: no_room(order) if order.trial_id == "0" else completes(order, 0.5),
        max_consecutive_failed_trials=1,
    )

    await sim.run()

    first = sim.oracle.trials["0"]
    assert [t.status for t in sim.oracle.trials.values()] == [
        TrialStatus.REJECTED,
        TrialStatus.COMPLETED,
        TrialStatus.COMPLETED,
    ]
    assert first.failure is not None
    assert "ran out of memory alone on GPU 0 Fake GPU with 15." in first.failure.message


async def test_a_halved_batch_comes_before_the_rejection() -> None:
    """If it is allowed: half the batch, a quarter, an eighth, then no more."""
    sim = simulation(1, boxed(fake_devices(1)), no_room, max_retries_per_trial=0)
    sim.admission.halves = True

    with pytest.raises(SearchAborted):
        await sim.run()

    first = [o for o in sim.executor.launched if isinstance(o, RunAttempt) and o.trial_id == "0"]
    assert [o.batch_divisor for o in first] == [1, 1, 1, 2, 4, 8]


async def test_others_memory_is_not_the_trials_fault() -> None:
    """The same reservation again, five times; then it is said who was in the way."""
    sim = simulation(
        1,
        boxed(fake_devices(1)),
        lambda order: (
            no_room(order, MemoryCause.FOREIGN) if order.trial_id == "0" else completes(order, 0.5)
        ),
    )

    await sim.run()

    first = sim.oracle.trials["0"]
    assert (first.status, first.attempts) == (TrialStatus.REJECTED, 6)
    assert len(set(limits(sim)[:6])) == 1
    assert first.failure is not None
    assert first.failure.message.startswith("Other processes left too little memory")


async def test_an_oversized_model_never_touches_a_gpu() -> None:
    """The weigher's refusal is the end of the trial; the search goes on to its whole budget."""

    def weigh(order: RunWeighing) -> Weighed | Failed:
        if order.trial_id != "1":
            return weighed(sized(GIB))
        failure = TrialFailure(kind=FailureKind.OVERSIZED, message="too large")
        return Failed(failure=failure, values={}, entries=[])

    sim = simulation(3, boxed(fake_devices(1)), weigh=weigh)

    await sim.run()

    statuses = [t.status for t in sim.oracle.trials.values()]
    assert statuses.count(TrialStatus.COMPLETED) == 3
    assert sim.oracle.trials["1"].status is TrialStatus.REJECTED
    assert sim.oracle.trials["1"].attempts == 0


async def test_a_space_in_which_everything_is_too_large_says_what_to_narrow() -> None:
    """After a hundred rejections in a row the search ends, naming the hyperparameter that matters."""

    def weigh(order: RunWeighing) -> Weighed:
        return weighed(sized(int((20 + 80 * order.space["values"]["x"]) * GIB)))

    sim = simulation(5, boxed(fake_devices(1)), weigh=weigh)

    with pytest.raises(
        SearchAborted, match=r"100 configurations was rejected. Models grow most with 'x'"
    ):
        await sim.run()

    assert not where(sim)


async def test_predictions_follow_what_was_observed() -> None:
    """After five peaks at half the prediction, reservations are smaller than the first one."""

    def act(order: RunAttempt) -> Script:
        script = completes(order, 0.5)
        done = script.says[-1][1]
        assert isinstance(done, Done)
        peak = MemoryPeak(allocated=GIB, reserved=GIB)
        return Script(
            [(1.0, Done(**{f: getattr(done, f) for f in done.__struct_fields__} | {"peak": peak}))]
        )

    sim = simulation(8, boxed(fake_devices(1), per_gpu=1), act)

    await sim.run()

    first, last = limits(sim)[0], limits(sim)[-1]
    assert first == pytest.approx(1.3 * 2 * GIB + 256 * MIB, rel=0.01)
    assert last == pytest.approx(1.05 * 0.5 * 2 * GIB + 256 * MIB, rel=0.01)


async def test_small_models_go_to_small_gpus() -> None:
    """The large GPU stays free for the large model that comes later."""
    small, large = fake_devices(1, gib=8)[0], fake_devices(2, gib=80)[1]
    sim = simulation(
        2,
        boxed([large, small]),
        weigh=lambda o: weighed(sized(GIB if o.trial_id == "0" else 20 * GIB)),
    )

    await sim.run()

    assert where(sim) == [small.uuid, large.uuid]


async def test_a_large_trial_is_not_starved_by_small_ones() -> None:
    """It waits while a few are started, then its GPU is kept for it."""
    sim = simulation(
        30,
        boxed(fake_devices(1)),
        lambda o: completes(o, 0.5, seconds=10.0 + int(o.trial_id) % 3),
        weigh=lambda o: weighed(sized(5 * GIB if o.trial_id == "03" else GIB // 2)),
    )

    await sim.run()

    order = [o.trial_id for o in sim.executor.launched if isinstance(o, RunAttempt)]
    assert order.index("03") <= 12


async def test_a_lost_gpu_is_left_and_its_trials_run_elsewhere() -> None:
    """It is quarantined once, nothing is lost, and no retry is used up."""
    devices = fake_devices(2)
    provider = FakeProvider(devices)
    sim = simulation(
        6,
        boxed(devices, provider=provider),
        lambda o: completes(o, 0.5, seconds=30.0),
    )

    async def lose() -> None:
        await asyncio.sleep(10.0)
        provider.lost.add(devices[1].uuid)

    await asyncio.gather(sim.run(), lose())

    (quarantined,) = sim.log.named("device_quarantined")
    assert quarantined["device"] == devices[1].uuid
    assert {t.status for t in sim.oracle.trials.values()} == {TrialStatus.COMPLETED}
    assert {t.failures for t in sim.oracle.trials.values()} == {0}
    assert {d for t in sim.oracle.trials.values() for d in t.devices} == {devices[0].uuid}


async def test_without_a_gpu_left_the_search_ends_with_a_sentence() -> None:
    """Finished trials are kept; the error names the GPU and what to do."""
    (device,) = fake_devices(1)
    provider = FakeProvider([device])
    sim = simulation(
        20, boxed([device], provider=provider), lambda o: completes(o, 0.5, seconds=30.0)
    )

    async def lose() -> None:
        await asyncio.sleep(45.0)
        provider.lost.add(device.uuid)

    with pytest.raises(DeviceError, match="No GPU is left to train on"):
        await asyncio.gather(sim.run(), lose())

    done = [t for t in sim.oracle.trials.values() if t.status is TrialStatus.COMPLETED]
    assert len(done) == 4


def holding(provider: FakeProvider, device: Device, *, gone: float, back: float) -> Any:
    """Let a process hold memory of a device until some time, and its memory be late until another."""

    async def play() -> None:
        await asyncio.sleep(2.0)
        provider.running[device.uuid] = [DeviceProcess(7, 9 * GIB)]
        provider.used[device.uuid] = 9 * GIB
        await asyncio.sleep(gone - 2.0)
        provider.running[device.uuid] = []
        await asyncio.sleep(back - gone)
        provider.used[device.uuid] = 0

    return play()


def one_process(order: RunAttempt) -> Script:
    """Ten seconds of training in the process that :func:`holding` tells of."""
    done = completes(order, 0.5, seconds=10.0)
    return Script([(0.0, Hello(pid=7)), *done.says])


async def test_what_fits_only_a_gpu_that_is_away_waits_for_it() -> None:
    """It is not refused: its memory was only late, and the searcher would learn a limit that is none."""
    small, large = fake_devices(1, gib=4)[0], fake_devices(2, gib=16)[1]
    provider = FakeProvider([small, large])
    sim = simulation(
        3,
        boxed([small, large], per_gpu=1, provider=provider),
        one_process,
        weigh=lambda _: weighed(sized(4 * GIB)),
    )

    await asyncio.gather(sim.run(), holding(provider, large, gone=10.0, back=200.0))

    (quarantined,) = sim.log.named("device_quarantined")
    assert quarantined["devices_left"] == 1
    assert sim.log.named("device_back")
    assert {t.status for t in sim.oracle.trials.values()} == {TrialStatus.COMPLETED}
    assert set(where(sim)) == {large.uuid}


@pytest.mark.parametrize(("back", "ends"), [(300.0, False), (900.0, True)])
async def test_the_only_gpu_is_waited_for_a_while(back: float, ends: bool) -> None:
    """For ten minutes the search pauses, and says so; then it ends with a sentence."""
    (device,) = fake_devices(1)
    provider = FakeProvider([device])
    sim = simulation(
        4,
        boxed([device], per_gpu=1, provider=provider),
        one_process,
        weigh=lambda _: weighed(sized(4 * GIB)),
    )

    async def run() -> None:
        if ends:
            with pytest.raises(DeviceError, match="No GPU is left to train on"):
                await sim.run()
        else:
            await sim.run()

    await asyncio.gather(run(), holding(provider, device, gone=10.0, back=back))

    assert sim.log.named("device_quarantined")[0]["devices_left"] == 0
    done = [t for t in sim.oracle.trials.values() if t.status is TrialStatus.COMPLETED]
    assert (len(done) == 4) is not ends


async def test_the_hosts_memory_bounds_trials_on_the_cpu() -> None:
    """Eight places, but room for two at a time: two run at a time, and all complete."""
    resources = Resources(most=8, reason="simulated", host_bytes=7 * GIB)
    sim = simulation(6, resources, lambda o: completes(o, 0.5, seconds=60.0))

    await sim.run()

    # Each wants 2.6 GiB for its model and half a GiB for its process.
    assert anyio.current_time() == pytest.approx(180.0, abs=5.0)
    assert {t.status for t in sim.oracle.trials.values()} == {TrialStatus.COMPLETED}
