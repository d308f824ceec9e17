"""Pruning for callers of ask and tell, who report steps and read why to stop."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import Oracle
from aiotune.pruners import Curve, MedianPruner, SuccessiveHalvingPruner, ThresholdPruner
from aiotune.trial import Trial


def pruning_oracle() -> Oracle:
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    return Oracle(
        "loss",
        10,
        hp,
        seed=0,
        max_retries_per_trial=1,
        pruner=ThresholdPruner(upper=10.0),
    )


async def retried(oracle: Oracle, loss: float) -> Trial:
    """Return a trial that reported a loss, failed, and was handed out again."""
    trial = await oracle.create_trial("w")
    await oracle.update_trial(trial.trial_id, {"loss": loss}, step=0)
    await oracle.end_trial(trial.trial_id, "INVALID")
    again = await oracle.create_trial("w")
    assert again is trial
    return again


async def test_a_trial_that_runs_again_is_told_to_stop_only_for_what_it_does_now() -> None:
    """That its first run was to stop says nothing of the second."""
    oracle = pruning_oracle()
    trial = await retried(oracle, 99.0)

    told = await oracle.update_trial(trial.trial_id, {"loss": 1.0}, step=0)

    assert told.stop_reason is None


async def test_a_trial_that_runs_again_is_judged_by_what_it_reports_now() -> None:
    """A good first run does not save a bad second one."""
    oracle = pruning_oracle()
    trial = await retried(oracle, 1.0)

    told = await oracle.update_trial(trial.trial_id, {"loss": 99.0}, step=0)

    assert told.stop_reason is not None
    assert "99" in told.stop_reason


# ── what a report costs, and what it is judged by ────────────────────────────


class Looks:
    """A pruner that goes through all curves, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[
            tuple[int, dict[int, float], list[tuple[int, dict[int, float], bool]]]
        ] = []

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        listed = [(c.index, dict(c.values), c.done) for c in others]
        self.asked.append((curve.index, dict(curve.values), sorted(listed)))
        for rule in (MedianPruner(2), SuccessiveHalvingPruner(1, 2)):
            given = rule.judge(curve, step, others, minimize=minimize)
            assert given == rule.judge(curve, step, list(others), minimize=minimize)
        return None


def true_curves(oracle: Oracle) -> list[tuple[int, dict[int, float], bool]]:
    """What all trials have reported, read from their histories."""
    curves = [
        (t.index, {s: m["loss"] for _, s, m in t.history}, t.status.is_final)
        for t in oracle.trials.values()
    ]
    return [curve for curve in curves if curve[1]]


@pytest.mark.parametrize("seed", range(6))
async def test_curves_are_what_trials_have_reported(seed: int) -> None:
    """However trials report, fail, run again and end between two looks, each look shows all of it."""
    chance = random.Random(seed)
    hp = HyperParameters()
    hp.Int("a", 1, 1000)
    looks = Looks()
    oracle = Oracle("loss", 40, hp, seed=0, max_retries_per_trial=2, pruner=looks)
    oracle.pruner = None
    steps: dict[str, int] = {}
    for _ in range(150):
        who = f"w{chance.randrange(4)}"
        trial = await oracle.create_trial(who)
        if trial.status == "STOPPED":
            break
        oracle.pruner = looks if chance.random() < 0.5 else None  # between two looks much happens
        step = steps.get(trial.trial_id, 0)
        if step and chance.random() < 0.3:
            await oracle.end_trial(trial.trial_id, chance.choice(["COMPLETED", "INVALID"]))
            steps[trial.trial_id] = 0
            continue
        loss = chance.choice([chance.gauss(0, 1), math.inf])
        await oracle.update_trial(trial.trial_id, {"loss": loss}, step)
        steps[trial.trial_id] = step + 1
        if oracle.pruner is not None:
            index, own, others = looks.asked[-1]
            assert sorted([*others, (index, own, False)]) == sorted(true_curves(oracle))
    assert len(looks.asked) > 20


async def test_a_report_looks_at_no_trial_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search may have ten thousand of them, and a report is heard on the event loop."""
    hp = HyperParameters()
    hp.Int("a", 1, 1000)
    oracle = Oracle("loss", None, hp, seed=0, pruner=MedianPruner())
    for _ in range(20):
        trial = await oracle.create_trial("w")
        await oracle.update_trial(trial.trial_id, {"loss": 1.0}, 0)
        await oracle.end_trial(trial)
    trial = await oracle.create_trial("w")
    read: list[bytes] = []

    def looked(data: bytes) -> list[Any]:
        read.append(data)
        return []

    monkeypatch.setattr("aiotune.trial.history_of", looked)
    monkeypatch.setattr("aiotune.trial.unpacked", read.append)

    await oracle.update_trial(trial.trial_id, {"loss": 0.5}, 0)
    first, read[:] = len(read), []
    await oracle.update_trial(trial.trial_id, {"loss": 2.0}, 1)

    assert (first, len(read)) == (1, 0), "the one that ended since, then none"


async def test_a_project_is_read_for_its_pruner_before_the_first_report(tmp_path: Path) -> None:
    """That takes as long as there are reports, and is done where the journal is read."""
    for opening in range(2):
        oracle = pruning_oracle()
        async with oracle.open(tmp_path, "p"):
            assert oracle._curves is not None
            assert oracle._curves._seen == opening
            trial = await oracle.create_trial("w")
            await oracle.update_trial(trial.trial_id, {"loss": 1.0}, 0)
            await oracle.end_trial(trial)
