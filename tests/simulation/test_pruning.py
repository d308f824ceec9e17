"""Pruners in a whole search, on virtual time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aiotune import events
from aiotune.executors._simulated import Script
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import Oracle, RandomSearchOracle
from aiotune.pruners import Curve, MedianPruner
from aiotune.status import TrialStatus
from aiotune.testing._simulation import Simulation
from aiotune.wire import Done, Report, RunAttempt

pytestmark = pytest.mark.virtual_time


def space() -> HyperParameters:
    hp = HyperParameters()
    hp.Float("loss", 0.0, 1.0)
    return hp


def listens(order: RunAttempt) -> Script:
    """A worker with a hundred epochs of one second, all with the same loss, which ends if asked."""
    loss = float(order.space["values"]["loss"])
    report = {"loss": loss}
    done = Done(metrics=report, best_step=0, executions=[report], values={"loss": loss}, entries=[])
    says = [(1.0, Report(step=epoch, metrics=report)) for epoch in range(100)]
    return Script([*says, (0.0, done)], early=done)


def oracle(**kwargs: object) -> Oracle:
    made = RandomSearchOracle("loss", max_trials=20, seed=3, hyperparameters=space())
    for name, value in kwargs.items():
        setattr(made, name, value)
    return made


async def test_hopeless_trials_end_early_and_the_rest_in_full() -> None:
    """Trials worse than the median stop; each is told once, and completes with what it has."""
    sim = Simulation(oracle(pruner=MedianPruner(min_trials=5)), listens, slots=4)

    await sim.run()

    trials = list(sim.oracle.trials.values())
    stopped = [t for t in trials if t.stop_reason is not None]
    whole = [t for t in trials if t.stop_reason is None]
    assert all(t.status is TrialStatus.COMPLETED for t in trials)
    assert len(stopped) >= 5
    assert all(len(t.history) == 100 for t in whole)
    assert all(len(t.history) < 100 for t in stopped)
    assert len(sim.log.named("trial_pruned")) == len(stopped)
    best = min(trials, key=lambda t: t.score or 0.0)
    assert best.stop_reason is None


async def test_workers_are_told_only_where_there_is_a_pruner() -> None:
    """An order says whether it may be asked to end: only then does a worker look after each batch."""
    without = Simulation(oracle(), listens, slots=4)
    with_one = Simulation(oracle(pruner=MedianPruner()), listens, slots=4)

    await without.run()
    await with_one.run()

    assert {o.prunable for o in without.executor.launched} == {False}
    assert {o.prunable for o in with_one.executor.launched} == {True}


class Remembers:
    """Keeps what it was asked, and never stops anything."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        self.asked.append((curve.index, step, len(others)))
        assert minimize
        assert step in curve.values
        return None


async def test_a_pruner_sees_the_curves_of_all_that_have_reported() -> None:
    """Two trials side by side: each is asked about after each step, with the other's curve."""
    pruner = Remembers()
    made = RandomSearchOracle("loss", max_trials=2, seed=3, hyperparameters=space())
    made.pruner = pruner
    sim = Simulation(made, listens, slots=2)

    await sim.run()

    assert len(pruner.asked) == 200
    assert {others for _, step, others in pruner.asked if step > 0} == {1}


async def test_a_caller_of_ask_and_tell_hears_it_from_update_trial() -> None:
    """stop_reason of the returned trial says so; a new attempt begins without one."""
    made = oracle(pruner=MedianPruner(min_trials=1))
    good = await made.create_trial("a")
    await made.update_trial(good.trial_id, {"loss": 0.1}, step=0)
    await made.end_trial(good)
    bad = await made.create_trial("b")

    told = await made.update_trial(bad.trial_id, {"loss": 0.9}, step=0)

    assert told is bad
    assert told.stop_reason is not None
    made.record(events.AttemptStarted(trial_id=bad.trial_id, attempt=1, attempt_id="x"))
    assert bad.stop_reason is None
