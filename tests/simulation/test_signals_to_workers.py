"""Workers that somebody else ends: with others, with the whole search, or alone; on virtual time."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable

import anyio
import pytest

from aiotune import logs
from aiotune.errors import FatalError, SearchAborted
from aiotune.events import AttemptEnded, Event
from aiotune.executors import Script, WorkerExit
from aiotune.failures import FailureKind
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import RandomSearchOracle
from aiotune.oracles._core import RetryPolicy
from aiotune.scheduler import StopReason
from aiotune.status import TrialStatus
from aiotune.testing import Simulation, completes, fails
from aiotune.trial import Trial
from aiotune.wire import Failed, RunAttempt, RunWeighing, Weighed

pytestmark = pytest.mark.virtual_time

ASKED = [
    WorkerExit(exit_code=None, signal=signal.SIGTERM),
    WorkerExit(exit_code=None, signal=signal.SIGHUP),
    WorkerExit(exit_code=128 + signal.SIGINT),  # Python's own answer to Ctrl-C
]


def oracle(trials: int = 1) -> RandomSearchOracle:
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    return RandomSearchOracle("loss", max_trials=trials, hyperparameters=hp, seed=1)


def terminated(seconds: float, ending: WorkerExit = ASKED[0]) -> Script:
    return Script(ends_after=seconds, ending=ending)


def first_only(script: Callable[[RunAttempt], Script]) -> Callable[[RunAttempt], Script]:
    """Let first attempts follow a script, and all others succeed."""
    return lambda order: script(order) if order.attempt == 1 else completes(order, 0.5)


def recorded(sim: Simulation) -> list[Event]:
    """Return what is recorded from here on."""
    facts: list[Event] = []
    record = sim.oracle.record

    def keep(*told: Event) -> object:
        facts.extend(told)
        return record(*told)

    sim.oracle.record = keep  # type: ignore[method-assign, assignment]
    return facts


@pytest.mark.parametrize("ending", ASKED, ids=str)
async def test_a_worker_that_was_ended_alone_is_run_again(ending: WorkerExit) -> None:
    """Nobody calls the search off: a second later the trial is on its way again, and counts as lost once."""
    sim = Simulation(oracle(), first_only(lambda _: terminated(3.0, ending)))

    await sim.run()

    (trial,) = sim.oracle.trials.values()
    assert (trial.status, trial.attempts, trial.failures, trial.lost) == ("COMPLETED", 2, 0, 1)
    assert anyio.current_time() == pytest.approx(5.0, abs=0.3)
    (told,) = sim.log.named(logs.TRIAL_TERMINATED)
    assert told["others"] == "none"


async def test_a_trial_that_is_ended_alone_again_and_again_fails() -> None:
    """Else a program that ends itself would run for ever."""
    sim = Simulation(oracle(2), lambda o: terminated(3.0) if o.index else completes(o, 0.5))

    await sim.run()

    poison = sim.oracle.trials["1"]
    assert (poison.status, poison.attempts) == (TrialStatus.FAILED, 6)
    assert poison.failure is not None
    assert poison.failure.kind is FailureKind.TERMINATED


@pytest.mark.parametrize("gap", [0.0, 0.005, 0.9])
async def test_workers_that_are_ended_before_the_search_are_cancelled(gap: float) -> None:
    """A signal to a whole job: whoever hears of it first, no trial failed, and all run again."""
    sim = Simulation(oracle(4), lambda _: terminated(3.0), slots=4)
    asyncio.get_running_loop().call_later(3.0 + gap, sim.loop.stop, StopReason.CANCELLED, 5.0)

    await sim.run()

    kinds = Counter(t.failure.kind for t in sim.oracle.trials.values() if t.failure)
    assert kinds == {FailureKind.CANCELLED: 4}
    assert all(not t.status.is_final and t.lost == 0 for t in sim.oracle.trials.values())


async def test_workers_that_are_ended_together_do_not_count() -> None:
    """The search goes on: so does every trial, however often, and none comes nearer to its end."""
    sim = Simulation(
        oracle(4),
        lambda o: terminated(3.0 + o.index / 10) if o.attempt <= 8 else completes(o, 0.5),
        slots=4,
    )

    await sim.run()

    trials = sim.oracle.trials.values()
    assert {(t.status, t.attempts, t.failures, t.lost) for t in trials} == {("COMPLETED", 9, 0, 0)}
    assert sim.log.named(logs.TRIAL_TERMINATED)[0]["others"] == "1, 2, 3"


async def test_a_program_whose_trials_all_end_themselves_comes_to_an_end() -> None:
    """All at the same time, so that each seems to be lost with the others."""
    sim = Simulation(oracle(4), lambda _: terminated(3.0), slots=4)

    with pytest.raises(SearchAborted):
        await sim.run()

    assert max(t.attempts for t in sim.oracle.trials.values()) <= 20


async def test_a_worker_that_was_killed_counts_still() -> None:
    """SIGKILL to several workers is what a full memory comes to, and no excuse."""
    killed = WorkerExit(exit_code=None, signal=signal.SIGKILL)
    sim = Simulation(oracle(2), lambda _: terminated(3.0, killed), slots=2)

    await sim.run()

    assert {t.status for t in sim.oracle.trials.values()} == {TrialStatus.FAILED}


async def test_a_worker_that_was_killed_with_the_search_is_cancelled() -> None:
    """The whole job is killed, or called off, within the second: nothing was recorded of it yet."""
    killed = WorkerExit(exit_code=None, signal=signal.SIGKILL)
    sim = Simulation(oracle(2), lambda _: terminated(3.0, killed), slots=2)
    facts = recorded(sim)
    ends: list[int] = []

    def call_off() -> None:
        ends.append(sum(isinstance(f, AttemptEnded) for f in facts))
        sim.loop.stop(StopReason.CANCELLED, 5.0)

    asyncio.get_running_loop().call_later(3.9, call_off)

    await sim.run()

    assert ends == [0]
    assert all(not t.status.is_final for t in sim.oracle.trials.values())


async def test_a_weighing_that_was_ended_by_others_is_done_again() -> None:
    """Nothing is known of the model's size from it, and a trial of unknown size needs a device alone."""

    class Weighs(Simulation):
        tries = 0

        def _script(self, order: object) -> Script:
            if isinstance(order, RunWeighing):
                self.tries += 1
                if self.tries <= 2:
                    return terminated(0.1)
                return Script([(0.1, Weighed(size=None, values={}, entries=[], why="scripted"))])
            assert isinstance(order, RunAttempt)
            return completes(order, 0.5)

    def never(_: RunWeighing) -> Weighed | Failed:
        raise AssertionError

    sim = Weighs(oracle(), lambda o: completes(o, 0.5), weigh=never)

    await sim.run()

    assert sim.tries == 3
    assert sim.log.named(logs.WEIGHING_FAILED)[0]["why"] == "scripted"


class Raises(Simulation):
    """A search whose ``on_trial_begin`` raises."""

    async def trial_began(self, trial: Trial) -> None:
        await anyio.sleep(0.5)
        raise ValueError("no such table")


async def test_an_attempt_whose_hook_raised_has_an_end() -> None:
    """It never had a process, so it was not lost; the trial runs again when the search is continued."""
    sim = Raises(oracle(), lambda o: completes(o, 0.5))
    facts = recorded(sim)

    with pytest.raises(ValueError, match="no such table"):
        await sim.run()

    (end,) = (f for f in facts if isinstance(f, AttemptEnded))
    assert (end.outcome, end.failure and end.failure.kind) == ("CANCELLED", "cancelled")
    assert end.failure is not None
    assert "no such table" in end.failure.message
    assert not sim.executor.launched


class SlowToEnd(Simulation):
    """A search whose ``on_trial_end`` takes long for the first trial."""

    async def trial_ended(self, trial: Trial, seconds: float) -> None:
        await anyio.sleep(0.0 if trial.index else 8.0)
        await super().trial_ended(trial, seconds)


@pytest.mark.parametrize("kind", [FailureKind.FATAL, FailureKind.ERROR])
async def test_the_end_of_the_search_does_not_wait_for_a_hook(kind: FailureKind) -> None:
    """A FatalError, or one failure too many: nothing is started while the hook of that trial runs."""
    made = oracle(50)
    made._policy = RetryPolicy(max_consecutive=1)
    sim = SlowToEnd(made, lambda o: completes(o, 0.5) if o.index else fails(kind), slots=2)

    with pytest.raises((FatalError, SearchAborted)):
        await sim.run()

    assert len(sim.executor.launched) == 2
