"""What the simulator has brought to light about single attempts, as small searches of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiotune._devices import Resources
from aiotune.errors import SearchAborted, StorageError
from aiotune.events import DeviceQuarantined, Event, MetricsReported, TrialEnded
from aiotune.executors import Script, SpawnError, WorkerExit, WorkSpec
from aiotune.executors._simulated import SimulatedExecutor, SimulatedWorker
from aiotune.failures import FailureKind
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import RandomSearchOracle
from aiotune.pruners import ThresholdPruner
from aiotune.scheduler import Limits, StopReason, Timing, _last_words
from aiotune.scheduler._commands import EndedBy
from aiotune.status import TrialStatus
from aiotune.store import MemoryStore
from aiotune.testing import Simulation, completes, fails
from aiotune.trial import Trial
from aiotune.wire import DiskPaused, Done, RunAttempt
from gpu.fake import FakeProvider, fake_devices

pytestmark = pytest.mark.virtual_time


def oracle(trials: int = 1) -> RandomSearchOracle:
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    return RandomSearchOracle(
        "loss", max_trials=trials, hyperparameters=hp, seed=1, max_consecutive_failed_trials=None
    )


def well(order: RunAttempt) -> Script:
    return completes(order, 0.5)


class SlowToBegin(Simulation):
    """A search whose ``on_trial_begin`` takes long, and loses a device the first time."""

    breaks = False

    async def trial_began(self, trial: Trial) -> None:
        await anyio.sleep(10.0)
        if self.breaks:
            self.breaks = False
            await self.loop.running[trial.trial_id].stop(EndedBy.DEVICE_BROKE, 1.0)


async def test_an_attempt_whose_device_broke_before_it_had_a_process_is_made_again() -> None:
    """The trial does not stay unfinished while the search waits for it, or ends without it."""
    sim = SlowToBegin(oracle(2), well)
    sim.breaks = True

    await sim.run()

    trials = sim.oracle.trials.values()
    assert [t.status for t in trials] == [TrialStatus.COMPLETED] * 2
    assert sorted(t.attempts for t in trials) == [1, 2]
    assert [r["failure_kind"] for r in sim.log.named("trial_retry")] == ["device_lost"]


async def test_the_time_of_an_attempt_begins_with_its_process() -> None:
    """Whoever waits for the disk, or for a callback, does not run out of time meanwhile."""
    sim = SlowToBegin(oracle(2), well, timing=Timing(limits=Limits(trial=5.0)))

    await sim.run()

    assert [t.status for t in sim.oracle.trials.values()] == [TrialStatus.COMPLETED] * 2
    assert sim.log.named("trial_timeout") == []


class Failing(RandomSearchOracle):
    """An oracle that cannot record facts of a kind."""

    kind: type[Event] = MetricsReported

    def record(self, *facts: Event) -> Any:
        if any(isinstance(fact, self.kind) for fact in facts):
            raise StorageError("The journal failed.")
        return super().record(*facts)


async def test_a_worker_whose_report_cannot_be_recorded_is_gone_before_its_lease_is_free() -> None:
    """The search raises the storage's error, and leaves no process to whoever closes the executor."""
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    sim = Simulation(Failing("loss", max_trials=2, hyperparameters=hp, seed=1), well)

    with pytest.raises(StorageError):
        await sim.run()

    assert sim.executor.live == set()


async def test_nobody_is_told_of_an_end_that_could_not_be_recorded() -> None:
    """What hooks do to the files of an ended trial would be wrong for one that runs again."""
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    failing = Failing("loss", max_trials=2, hyperparameters=hp, seed=1)
    failing.kind = TrialEnded
    sim = Simulation(failing, well)

    with pytest.raises(StorageError):
        await sim.run()

    assert sim.ended == []


async def test_a_result_that_was_written_down_and_not_sent_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process died between the two: the trial is complete, and does not run again."""
    asked: list[Path] = []

    def read(path: Path, *_: str) -> Done:
        asked.append(path)
        return Done(
            metrics={"loss": 0.25},
            best_step=0,
            executions=[{"loss": 0.25}],
            values={"x": 0.5},
            entries=[],
        )

    monkeypatch.setattr(_last_words, "read_result", read)
    sim = Simulation(oracle(), lambda _: Script(ending=WorkerExit(exit_code=None, signal=9)))

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    assert (trial.status, trial.score, trial.attempts) == (TrialStatus.COMPLETED, 0.25, 1)
    assert [path.parts[-3:] for path in asked] == [("trial_0", "attempt-01", "result.json")]


class Barren(SimulatedExecutor):
    """Starts nothing."""

    tries = 0

    async def launch(self, work: WorkSpec) -> SimulatedWorker:
        self.tries += 1
        raise SpawnError("No process can be started.")


class BarrenSimulation(Simulation):
    """A search that can start nothing."""

    def make_executor(self) -> Barren:
        return Barren(self._script)


async def test_nothing_is_started_any_more_once_the_search_stops() -> None:
    """Cancelled between two tries to start a process: no third try, and no error of its own."""
    sim = BarrenSimulation(oracle(), well)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sim.run())
        await anyio.sleep(0.3)
        task.cancel()

    (trial,) = sim.oracle.trials.values()
    assert sim.executor.tries == 2
    assert task.cancelled()
    assert trial.status is not TrialStatus.FAILED


async def test_a_stop_after_the_end_changes_nothing() -> None:
    """A signal that comes while the project is being closed starts nothing in what is over."""
    sim = Simulation(oracle(), well)
    await sim.run()

    sim.loop.stop(StopReason.CANCELLED, 1.0)

    assert sim.loop.end == "finished"
    assert sim.log.named("search_stopping") == []


class HalfASecond:
    """What is durable half a second after somebody waits for it."""

    def __await__(self) -> Generator[Any, None, None]:
        return anyio.sleep(0.5).__await__()


class SlowStore(MemoryStore):
    """Takes half a second to make anything durable."""

    def append(self, *facts: Event) -> Any:
        super().append(*facts)
        return HalfASecond()


async def test_the_limit_of_failures_holds_although_another_trial_ends_well_meanwhile() -> None:
    """What counts is the order of the records, not who is there when the failure is on the disk."""
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    limited = RandomSearchOracle(
        "loss", max_trials=4, hyperparameters=hp, seed=1, max_consecutive_failed_trials=1
    )
    limited._book._store = SlowStore()

    def act(order: RunAttempt) -> Script:
        if order.index == 0:
            return fails(FailureKind.CRASHED)
        return completes(order, 0.5, seconds=1.2)

    sim = Simulation(limited, act)

    with pytest.raises(SearchAborted):
        await sim.run()

    statuses = [t.status for t in limited.trials.values()]
    assert statuses[:2] == [TrialStatus.FAILED, TrialStatus.COMPLETED]
    assert TrialStatus.COMPLETED not in statuses[2:]


class AMinute:
    """What is durable a minute after somebody waits for it."""

    def __await__(self) -> Generator[Any, None, None]:
        return anyio.sleep(60.0).__await__()


class FullStore(MemoryStore):
    """Takes a minute to make anything durable, as a disk that is full for so long."""

    def append(self, *facts: Event) -> Any:
        super().append(*facts)
        return AMinute()


async def test_an_attempt_that_is_over_neither_runs_out_of_time_nor_is_silent() -> None:
    """Its process is gone, and its end waits for the disk: nobody is warned, and nothing is stopped."""
    patient = oracle()
    patient._book._store = FullStore()
    limits = Limits(trial=10.0, stall_warn=5.0)
    sim = Simulation(patient, well, timing=Timing(limits=limits))

    await sim.run()

    assert [t.status for t in patient.trials.values()] == [TrialStatus.COMPLETED]
    assert sim.log.named("trial_timeout") + sim.log.named("trial_stalled") == []


async def test_a_training_is_listened_to_while_its_verdict_waits_for_the_disk() -> None:
    """It tells that it waits, too, and so neither runs out of time nor loses its result."""
    doomed = oracle()
    doomed.pruner = ThresholdPruner(upper=1.0)
    doomed._book._store = FullStore()

    def act(order: RunAttempt) -> Script:
        *reports, end = completes(order, 5.0, epochs=2).says
        waits = [
            (5.0, DiskPaused(path="/x", free=0, waited=5.0, over=second == 30))
            for second in range(5, 35, 5)
        ]
        return Script([*reports, *waits, end])

    sim = Simulation(doomed, act, timing=Timing(limits=Limits(trial=10.0)))

    await sim.run()

    assert [t.status for t in doomed.trials.values()] == [TrialStatus.COMPLETED]
    assert sim.log.named("trial_timeout") == []


async def test_a_device_that_breaks_when_nothing_can_be_recorded_ends_the_search_in_order() -> None:
    """The attempts are stopped and reaped before search() raises the storage's error, and raises it bare."""
    provider = FakeProvider(fake_devices(2, gib=16))
    resources = Resources(
        most=2,
        reason="simulated",
        devices=tuple(provider.present),
        most_per_device=1,
        cores=2,
        host_bytes=64 << 30,
        provider=provider,
    )
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    failing = Failing("loss", max_trials=2, hyperparameters=hp, seed=1)
    failing.kind = DeviceQuarantined
    sim = Simulation(
        failing, lambda order: completes(order, 0.5, seconds=50.0), resources=resources
    )
    asyncio.get_running_loop().call_later(5.0, provider.lose, provider.present[0].uuid)

    with pytest.raises(StorageError):
        await sim.run()

    assert sim.executor.live == set()
    assert sim.admission.ledger.leases == ()
