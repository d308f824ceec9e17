"""Whole searches on virtual time, with scripted workers."""

from __future__ import annotations

import asyncio
from collections import Counter

import anyio
import pytest

from aiotune.errors import FatalError, SearchAborted
from aiotune.executors import WorkerExit
from aiotune.executors._simulated import Script
from aiotune.failures import FailureKind
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import GridSearchOracle, Oracle, RandomSearchOracle
from aiotune.scheduler import Limits, Timing
from aiotune.searchers import Exhausted, Proposal
from aiotune.status import TrialStatus
from aiotune.testing._simulation import Simulation, completes, fails
from aiotune.wire import RunAttempt

pytestmark = pytest.mark.virtual_time


def space() -> HyperParameters:
    hp = HyperParameters()
    hp.Float("lr", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 1, 512)
    return hp


def random_oracle(trials: int = 10, **kwargs: object) -> RandomSearchOracle:
    return RandomSearchOracle(max_trials=trials, seed=0, hyperparameters=space(), **kwargs)  # type: ignore[arg-type]


def score(order: RunAttempt) -> float:
    return float(order.space["values"]["lr"])


async def test_all_slots_are_busy_until_the_budget_is_spent() -> None:
    """Twelve trials of ten seconds on four slots take thirty."""
    sim = Simulation(random_oracle(12), lambda o: completes(o, score(o), seconds=10), slots=4)

    await sim.run()

    assert anyio.current_time() == pytest.approx(30, abs=0.5)
    assert sim.executor.peak == 4
    assert Counter(t.status for t in sim.oracle.trials.values()) == {TrialStatus.COMPLETED: 12}


@pytest.mark.parametrize("slots", [1, 3, 16])
async def test_configurations_do_not_depend_on_the_number_of_slots(slots: int) -> None:
    """The same seed tries the same configurations with one worker or sixteen."""
    sim = Simulation(
        random_oracle(20),
        lambda o: completes(o, score(o), seconds=1 + o.index % 3),
        slots=slots,
    )
    reference = Simulation(random_oracle(20), lambda o: completes(o, score(o)), slots=2)

    await sim.run()
    await reference.run()

    tried = [dict(t.values) for t in sim.oracle.trials.values()]
    assert tried == [dict(t.values) for t in reference.oracle.trials.values()]


async def test_the_best_trial_is_the_one_with_the_best_score() -> None:
    """The oracle's best agrees with a look at all scores."""
    sim = Simulation(random_oracle(30), lambda o: completes(o, score(o)), slots=3)

    await sim.run()

    best = min(sim.oracle.trials.values(), key=lambda t: t.score or 0)
    assert sim.oracle.best_trial is best
    assert sim.oracle.get_best_trials(1) == [best]


async def test_a_failed_trial_is_retried_and_logged_each_time() -> None:
    """Two failures, then a result: two retry events with falling numbers, three attempts."""
    sim = Simulation(
        random_oracle(1, max_retries_per_trial=3),
        lambda o: fails(FailureKind.ERROR) if o.attempt < 3 else completes(o, 0.5),
    )

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    retries = sim.log.named("trial_retry")
    assert (trial.status, trial.score, trial.attempts) == (TrialStatus.COMPLETED, 0.5, 3)
    assert [r["attempts_left"] for r in retries] == [3, 2]
    assert {r["error_type"] for r in retries} == {"ValueError"}
    assert set(retries[0]) == {
        "trial",
        "attempt",
        "attempts_left",
        "failure_kind",
        "error_type",
        "error_message",
        "delay",
        "device",
        "next_reservation",
        "alone",
        "batch_divisor",
    }


async def test_a_trial_without_retries_left_fails() -> None:
    """One run and two retries, all failing: FAILED after three attempts."""
    sim = Simulation(
        random_oracle(1, max_retries_per_trial=2), lambda _: fails(FailureKind.CRASHED)
    )

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    assert (trial.status, trial.attempts) == (TrialStatus.FAILED, 3)


async def test_failed_trial_error_is_final() -> None:
    """FailedTrialError is never retried."""
    sim = Simulation(
        random_oracle(1, max_retries_per_trial=5),
        lambda _: fails(FailureKind.FAILED_TRIAL, type="FailedTrialError"),
    )

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    assert (trial.status, trial.attempts) == (TrialStatus.FAILED, 1)


async def test_too_many_failures_in_a_row_abort_the_search() -> None:
    """The third failure in a row ends the search, is recorded, and stops what runs."""
    sim = Simulation(
        random_oracle(50),
        lambda o: fails(FailureKind.ERROR) if o.index < 9 else completes(o, 1.0, seconds=1e6),
        slots=4,
    )

    with pytest.raises(SearchAborted, match="exceeded the limit of 3"):
        await sim.run()

    counts = Counter(t.status for t in sim.oracle.trials.values())
    assert counts[TrialStatus.FAILED] >= 3
    assert anyio.current_time() < 60


async def test_failures_that_are_not_in_a_row_do_not_abort() -> None:
    """Two failures, a success, two failures: the search goes on."""
    sim = Simulation(
        random_oracle(20),
        lambda o: completes(o, 1.0) if o.index % 3 == 2 else fails(FailureKind.ERROR),
        slots=1,
    )

    await sim.run()

    assert len(sim.oracle.trials) == 20


async def test_a_fatal_error_stops_everything_and_is_raised_bare() -> None:
    """The siblings are cancelled, nothing is launched afterwards, and the FatalError arrives alone."""
    sim = Simulation(
        random_oracle(50),
        lambda o: (
            fails(FailureKind.FATAL, type="FatalError", seconds=5)
            if o.index == 1
            else completes(o, 1.0, seconds=1000)
        ),
        slots=4,
    )

    with pytest.raises(FatalError, match="scripted") as caught:
        await sim.run()

    statuses = Counter(t.status for t in sim.ended)
    assert type(caught.value) is FatalError
    assert statuses == {TrialStatus.CANCELLED: 3, TrialStatus.INVALID: 1}
    assert anyio.current_time() < 7
    assert len(sim.executor.launched) == 4


async def test_stubborn_workers_are_killed_after_the_grace() -> None:
    """A worker that ignores the request ends when the grace of a FatalError is over."""
    sim = Simulation(
        random_oracle(50),
        lambda o: (
            fails(FailureKind.FATAL, seconds=5)
            if o.index == 0
            else Script([(1000.0, completes(o, 1.0).says[-1][1])], obeys=False)
        ),
        slots=2,
        timing=Timing(fatal_grace=2.0),
    )

    with pytest.raises(FatalError):
        await sim.run()

    assert anyio.current_time() == pytest.approx(7, abs=0.5)


async def test_cancelling_the_search_stops_its_workers() -> None:
    """A cancelled task asks the workers to end, waits for that, and stays cancelled."""
    sim = Simulation(random_oracle(50), lambda o: completes(o, 1.0, seconds=1000), slots=3)

    task = asyncio.ensure_future(sim.run())
    await asyncio.sleep(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    unfinished = [t for t in sim.oracle.trials.values() if not t.status.is_final]
    assert Counter(t.status for t in sim.ended) == {TrialStatus.CANCELLED: 3}
    assert len(unfinished) == len(sim.oracle.trials)


async def test_cancelling_by_a_scope_around_the_search_works_too() -> None:
    """An anyio timeout around search() ends it in order."""
    sim = Simulation(random_oracle(50), lambda o: completes(o, 1.0, seconds=1000), slots=3)

    with anyio.move_on_after(10) as scope:
        await sim.run()

    assert scope.cancelled_caught
    assert Counter(t.status for t in sim.ended) == {TrialStatus.CANCELLED: 3}


async def test_a_trial_over_its_time_limit_is_stopped_and_counts_as_failed() -> None:
    """trial_timeout ends an attempt; retries apply to it."""
    sim = Simulation(
        random_oracle(1, max_retries_per_trial=1),
        lambda o: completes(o, 1.0, seconds=100),
        timing=Timing(limits=Limits(trial=20)),
    )

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    assert trial.failure is not None
    assert (trial.status, trial.attempts) == (TrialStatus.FAILED, 2)
    assert trial.failure.kind is FailureKind.TIMED_OUT


async def test_a_worker_that_dies_silently_is_classified() -> None:
    """A segfault is a crash that names its signal."""
    sim = Simulation(
        random_oracle(1), lambda _: Script(ends_after=3, ending=WorkerExit(None, signal=11))
    )

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    assert trial.failure is not None
    assert (trial.failure.kind, trial.failure.signal) == (FailureKind.CRASHED, "SIGSEGV")


async def test_processes_that_cannot_be_started_are_tried_again_then_end_the_search() -> None:
    """A passing shortage costs seconds; a lasting one ends the search with its reason."""
    shortage = {"left": 2}

    def act(order: RunAttempt) -> Script:
        if shortage["left"] > 0:
            shortage["left"] -= 1
            return Script(spawn_error="no more processes")
        return completes(order, 1.0)

    sim = Simulation(random_oracle(3), act, slots=1)
    await sim.run()

    assert len(sim.log.named("spawn_failed")) == 2

    shortage["left"] = 100
    with pytest.raises(Exception, match="no more processes"):
        await Simulation(random_oracle(3), act, slots=1).run()


async def test_a_grid_keeps_all_slots_busy() -> None:
    """A 64-point grid on four slots runs four at a time from beginning to end."""
    hp = HyperParameters()
    for name in "abc":
        hp.Choice(name, [1, 2, 3, 4])
    oracle = GridSearchOracle(hyperparameters=hp, seed=0)
    sim = Simulation(oracle, lambda o: completes(o, 1.0, seconds=10), slots=4)

    await sim.run()

    assert len(oracle.trials) == 64
    assert anyio.current_time() == pytest.approx(160, abs=1)


async def test_a_users_populate_space_may_be_plain_or_async() -> None:
    """KerasTuner's dicts and our proposals are both understood."""

    class Countdown(Oracle):
        async def populate_space(self, trial_id: str) -> object:  # type: ignore[override]
            if len(self.trials) < 2:
                return {"status": "RUNNING", "values": {"lr": 0.01, "units": len(self.trials) + 1}}
            return Proposal({"lr": 0.02, "units": 9}) if len(self.trials) == 2 else Exhausted()

    sim = Simulation(Countdown(hyperparameters=space()), lambda o: completes(o, score(o)), slots=1)

    await sim.run()

    assert [t.values["units"] for t in sim.oracle.trials.values()] == [1, 2, 9]


async def test_an_error_of_the_oracle_ends_the_search_in_order() -> None:
    """What an oracle raises is raised by the search, after the running trials were stopped."""

    class Broken(Oracle):
        def populate_space(self, trial_id: str) -> object:  # type: ignore[override]
            if len(self.trials) == 3:
                raise ZeroDivisionError("in the user's oracle")
            return {"status": "RUNNING", "values": {}}

    sim = Simulation(
        Broken(hyperparameters=space()), lambda o: completes(o, 1.0, seconds=1000), slots=4
    )

    with pytest.raises(ZeroDivisionError, match="in the user's oracle"):
        await sim.run()
