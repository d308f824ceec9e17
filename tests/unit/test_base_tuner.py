"""What a tuner's own code sees of it within a trial and outside."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.errors import FatalRuntimeError


class Reporting(aiotune.RandomSearch):
    """Reports as KerasTuner's own loops do, and returns nothing."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
        """Report three times, best in the middle."""
        x = trial.hyperparameters.Float("x", 0.0, 1.0)
        oracle: Any = self.oracle
        for step in range(3):
            oracle.update_trial(trial.trial_id, {"default_objective": x - (step == 1)}, step=step)


class ReportingLater(Reporting):
    """The same as a coroutine, which runs beside the search itself."""

    async def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
        """Let others run, then report."""
        await asyncio.sleep(0)
        super().run_trial(trial)


class Meddling(aiotune.RandomSearch):
    """Reports for another trial than its own."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
        """Report for a trial that does not run here."""
        trial.hyperparameters.Float("x", 0.0, 1.0)
        oracle: Any = self.oracle
        oracle.update_trial("77", {"default_objective": 0.0})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [Reporting, ReportingLater])
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_loop_of_ones_own_reports_alike_wherever_it_runs(
    tmp_path: Path, kind: type[aiotune.RandomSearch], executor: Any
) -> None:
    """``self.oracle.update_trial`` within a trial is the same plain call inline and in a process."""
    tuner = kind(max_trials=2, seed=0, directory=tmp_path, executor=executor)
    result = asyncio.run(tuner.search(verbose=0))
    assert [trial.status for trial in result.trials] == ["COMPLETED", "COMPLETED"]
    assert [trial.best_step for trial in result.trials] == [1, 1]
    found = [trial.hyperparameters["x"] - 1 for trial in result.trials]
    assert [trial.score for trial in result.trials] == found


def test_an_inline_trial_may_report_only_for_itself(tmp_path: Path) -> None:
    """A report for another trial ends the search as it does in a process."""
    tuner = Meddling(max_trials=2, seed=0, directory=tmp_path, executor="inline")
    with pytest.raises(FatalRuntimeError, match="only report for itself"):
        asyncio.run(tuner.search(verbose=0))


def test_outside_a_trial_the_oracle_is_the_one_that_was_given(tmp_path: Path) -> None:
    """Programs reach the real oracle, before and after a search."""
    oracle = aiotune.oracles.RandomSearchOracle(max_trials=1, seed=3)

    class Own(aiotune.BaseTuner):
        def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
            return trial.hyperparameters.Float("x", 0.0, 1.0)

    tuner = Own(oracle, directory=tmp_path, executor="inline")
    asyncio.run(tuner.search(verbose=0))
    assert tuner.oracle is oracle


@pytest.mark.parametrize("kind", [Reporting, ReportingLater])
def test_an_inline_trial_is_not_called_stopped_although_it_ran_in_full(
    tmp_path: Path, kind: type[aiotune.RandomSearch]
) -> None:
    """Nobody can tell it anything while it runs, and the log says so."""
    pruner = aiotune.pruners.ThresholdPruner(upper=-1.0)
    tuner = kind(max_trials=3, seed=0, directory=tmp_path, executor="inline", pruner=pruner)
    result = asyncio.run(tuner.search(verbose=0))
    assert [trial.stop_reason for trial in result.trials] == [None, None, None]
    assert [len(trial.history) for trial in result.trials] == [3, 3, 3]
    assert '"pruner_idle"' in (tuner.project_dir / "events.log").read_text()
