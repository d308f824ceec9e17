"""Whole searches, and how their workers come to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.base_tuner import StartMethod
from aiotune.oracles import RandomSearchOracle


class _Refused(aiotune.BaseTuner):
    """Fails in a fork as torch does where CUDA was started before it."""

    def run_trial(self, trial: aiotune.Trial) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        if _is_forked():
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess. To use ...")
        return x


class _Tells(aiotune.BaseTuner):
    """Returns whether it was forked."""

    def run_trial(self, trial: aiotune.Trial) -> float:
        trial.hyperparameters.Float("x", 0.0, 1.0)
        return float(_is_forked())


def _is_forked() -> bool:
    return b"nursery" in Path("/proc/self/cmdline").read_bytes().split(b"\0")


def _oracle(**options: Any) -> RandomSearchOracle:
    return RandomSearchOracle(objective=aiotune.Objective("default_objective", "min"), **options)


async def test_fork_that_a_back_end_refuses_costs_no_retry(tmp_path: Path) -> None:
    """Without any retry allowed, all trials of a poisoned search succeed, the first of them in a second attempt."""
    tuner = _Refused(
        _oracle(max_trials=3, max_retries_per_trial=0), directory=tmp_path, max_parallel_trials=1
    )

    result = await tuner.search(verbose=0)

    assert [(t.status, t.attempts) for t in result.trials] == [
        ("COMPLETED", 2),
        ("COMPLETED", 1),
        ("COMPLETED", 1),
    ]
    log = (tuner.project_dir / "events.log").read_text().splitlines()
    retries = [e for e in map(json.loads, log) if e["event"] == "trial_retry"]
    assert [(e["failure_kind"], e["attempts_left"]) for e in retries] == [("fork_refused", 1)]


@pytest.mark.parametrize(("method", "forked"), [("auto", 1.0), ("fork", 1.0), ("spawn", 0.0)])
async def test_start_method_is_the_users_choice(
    tmp_path: Path, method: StartMethod, forked: float
) -> None:
    """Forks where nothing speaks against them, or what was asked for."""
    tuner = _Tells(_oracle(max_trials=1), directory=tmp_path, start_method=method)

    result = await tuner.search(verbose=0)

    assert result.best_score == forked
