"""A tuner that goes on with a project of KerasTuner."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from aiotune.errors import ConfigurationError, ProjectError
from aiotune.migration import from_keras_tuner
from aiotune.objective import Objective
from aiotune.trial import Trial
from aiotune.tuners import RandomSearch

DATA = Path(__file__).parent.parent / "data"


class Measured(RandomSearch):
    """Measures what the program that made the project measured."""

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        hp = trial.hyperparameters
        x, y = hp.Float("x", 0.0, 1.0), hp.Int("y", 1, 5)
        return {"loss": (x - 0.3) ** 2 + y}


def tuner_of(directory: Path, **kwargs: Any) -> Measured:
    given: dict[str, Any] = {
        "objective": Objective("loss", "min"),
        "max_trials": 9,
        "directory": directory,
        "project_name": "new",
        "executor": "inline",
        **kwargs,
    }
    return Measured(**given)


async def test_the_search_goes_on_with_what_is_left_of_its_budget(tmp_path: Path) -> None:
    """Seven trials are there, the interrupted one runs again, two are new."""
    tuner = await tuner_of(tmp_path).from_keras_tuner(DATA / "kerastuner_failures")

    left = await asyncio.to_thread(lambda: tuner.remaining_trials)
    result = await tuner.search(verbose=0)

    assert left == 2
    assert result.counts == {"COMPLETED": 6, "FAILED": 3}
    assert [trial.trial_id for trial in result.trials] == list("012345678")
    assert [trial.attempts for trial in result.trials] == [0] * 6 + [1] * 3
    assert result.trials[6].values["x"] == 0.2590084917154736


async def test_the_import_is_told(tmp_path: Path) -> None:
    """Once, with what was taken over from where, and what needs a look."""
    tuner = RandomSearch(
        lambda hp: hp, "val_loss", directory=tmp_path, project_name="new", executor="inline"
    )

    with capture_logs() as told:
        await from_keras_tuner(tuner, DATA / "kerastuner_random")
        await from_keras_tuner(tuner, DATA / "kerastuner_random")

    (event,) = told
    assert (event["event"], event["trials"]) == ("project_imported", 4)
    assert event["source"] == str(DATA / "kerastuner_random")
    assert ["--boolean bias" in note for note in event["notes"]] == [True]


async def test_run_again_it_goes_on_with_the_copy(tmp_path: Path) -> None:
    """A program that takes a project over can be started any number of times."""
    for _ in range(2):
        tuner = await from_keras_tuner(tuner_of(tmp_path), DATA / "kerastuner_failures")
        result = await tuner.search(verbose=0)

    assert len(result.trials) == 9


async def test_anothers_project_is_not_gone_on_with(tmp_path: Path) -> None:
    """Where the copy belongs there is one of another source, or none of an import."""
    await from_keras_tuner(tuner_of(tmp_path), DATA / "kerastuner_failures")
    (tmp_path / "mine").mkdir()

    with pytest.raises(ProjectError, match="is there already"):
        await from_keras_tuner(tuner_of(tmp_path), DATA / "kerastuner_random")
    with pytest.raises(ProjectError, match="is there already"):
        await from_keras_tuner(
            tuner_of(tmp_path, project_name="mine"), DATA / "kerastuner_failures"
        )


async def test_a_tuner_that_would_discard_the_project_is_refused(tmp_path: Path) -> None:
    """``overwrite=True`` and an import contradict each other."""
    with pytest.raises(ConfigurationError, match="would discard what is taken over"):
        await from_keras_tuner(tuner_of(tmp_path, overwrite=True), DATA / "kerastuner_failures")

    assert list(tmp_path.iterdir()) == []


async def test_the_tuners_objective_must_be_the_projects(tmp_path: Path) -> None:
    """Scores of another metric would be compared with its own."""
    with pytest.raises(ConfigurationError, match="has no 'val_loss'"):
        await from_keras_tuner(
            tuner_of(tmp_path, objective="val_loss"), DATA / "kerastuner_failures"
        )
