"""What cannot be searched is refused in a sentence, before any trial, with nothing lost or left."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.errors import (
    ConfigurationError,
    FatalValueError,
    NoUsableDevice,
    PayloadError,
    ProjectError,
    ProjectLocked,
    SpaceChanged,
    UnknownDirection,
)
from aiotune.oracles import RandomSearchOracle


class Parabola(aiotune.RandomSearch):
    """A function; fast, and without keras."""

    high = 1.0

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, self.high)
        return x * x


def parabola(path: Path, **kwargs: Any) -> Parabola:
    return Parabola(
        **{"max_trials": 2, "seed": 0, "directory": path, "project_name": "p", **kwargs}
    )


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"max_trails": 3}, ConfigurationError, "Unrecognized arguments \\['max_trails'\\]"),
        ({"max_trials": 0}, ConfigurationError, "max_trials must be a whole number >= 1"),
        ({"objective": "val_quality"}, UnknownDirection, "Objective\\('val_quality', 'max'\\)"),
        ({"objective": 3}, ConfigurationError, "not understood"),
        ({"executions_per_trial": 0}, ConfigurationError, "executions_per_trial"),
        ({"max_parallel_trials": 0}, ConfigurationError, "max_parallel_trials"),
        ({"max_retries_per_trial": -1}, ConfigurationError, "max_retries_per_trial"),
        ({"max_consecutive_failed_trials": 0}, ConfigurationError, "max_consecutive_failed"),
        ({"trial_timeout": 0}, ConfigurationError, "trial_timeout"),
        ({"stop_grace": -1}, ConfigurationError, "stop_grace"),
        ({"seed": 0.5}, ConfigurationError, "seed"),
        ({"hypermodel": 7}, FatalValueError, "hypermodel"),
        ({"project_name": "../precious"}, ConfigurationError, "not a plain name"),
        ({"project_name": "a/b"}, ConfigurationError, "not a plain name"),
        ({"project_name": "/etc"}, ConfigurationError, "not a plain name"),
        ({"project_name": ""}, ConfigurationError, "not a plain name"),
        ({"tune_new_entries": False}, ConfigurationError, "specify the search space"),
        ({"distribution_strategy": object()}, ConfigurationError, "distribution_strategy"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_arguments_are_refused_at_construction(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """Each mistake is a sentence that names the argument; nothing is made on disk."""
    with pytest.raises(error, match=text):
        parabola(tmp_path, **arguments)

    assert list(tmp_path.iterdir()) == []


def test_a_tuner_with_nothing_to_run_is_refused() -> None:
    """Without a hypermodel run_trial must be overridden."""
    with pytest.raises(ConfigurationError, match="nothing to train"):
        aiotune.RandomSearch(objective="loss")


def test_an_oracle_of_another_kind_is_refused() -> None:
    """The oracle must be one."""
    with pytest.raises(ConfigurationError, match=r"aiotune\.Oracle"):
        aiotune.Tuner(object(), lambda hp: None)  # type: ignore[arg-type]


async def test_an_argument_that_cannot_travel_is_named(tmp_path: Path) -> None:
    """A reference deep inside the arguments is named by its path, and an old project is untouched."""
    await parabola(tmp_path).search(verbose=0)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(PayloadError, match=r'kwargs\["callbacks"\]\[0\]'):
        await parabola(tmp_path, overwrite=True).search(
            callbacks=[weakref.ref(parabola)], verbose=0
        )

    assert sorted(tmp_path.rglob("*")) == before


async def test_a_generator_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """A generator cannot travel; a function that makes it can."""
    with pytest.raises(PayloadError, match="function"):
        await parabola(tmp_path).search((i for i in range(3)), verbose=0)


async def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """``devices=[0]`` on a machine without a driver says what to do."""
    with pytest.raises(NoUsableDevice, match="leave devices out"):
        await parabola(tmp_path, devices=[0]).search(verbose=0)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verbose", [7, "loud"])
async def test_an_unknown_verbosity_is_refused(tmp_path: Path, verbose: Any) -> None:
    """``verbose`` has four values."""
    with pytest.raises(ConfigurationError, match="verbose must be"):
        await parabola(tmp_path).search(verbose=verbose)


async def test_an_unknown_executor_is_refused(tmp_path: Path) -> None:
    """``executor`` names one of ours or is one."""
    with pytest.raises(ConfigurationError, match="'local', 'inline'"):
        await parabola(tmp_path, executor="cluster").search(verbose=0)


async def test_a_project_that_another_search_holds_is_refused(tmp_path: Path) -> None:
    """The second search names the first one's process."""
    oracle = RandomSearchOracle(max_trials=1)

    async with oracle.open(tmp_path, "p"):
        with pytest.raises(ProjectLocked, match="pid"):
            await parabola(tmp_path, overwrite=True).search(verbose=0)


async def test_a_project_of_another_objective_is_refused(tmp_path: Path) -> None:
    """Scores of different objectives do not mix."""
    await parabola(tmp_path).search(verbose=0)

    with pytest.raises(SpaceChanged, match="overwrite=True"):
        await parabola(tmp_path, objective="loss").search(verbose=0)


async def test_a_project_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    """A grid cannot continue a random search."""

    class Grid(aiotune.GridSearch):
        run_trial = Parabola.run_trial

    await parabola(tmp_path).search(verbose=0)

    with pytest.raises(SpaceChanged, match="GridSearchOracle"):
        await Grid(directory=tmp_path, project_name="p").search(verbose=0)


async def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A directory that is no project is left as it is, overwrite or not."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p/thesis.tex").write_text("years of work")

    for overwrite in (False, True):
        with pytest.raises(ProjectError, match=r"thesis\.tex"):
            await parabola(tmp_path, overwrite=overwrite).search(verbose=0)

    assert (tmp_path / "p/thesis.tex").read_text() == "years of work"
    assert [p.name for p in (tmp_path / "p").iterdir()] == ["thesis.tex"]


async def test_a_tuner_searches_once_at_a_time(tmp_path: Path) -> None:
    """A second search() of one tuner, while the first runs, is refused."""
    import asyncio

    tuner = parabola(tmp_path, max_trials=20)
    first = asyncio.ensure_future(tuner.search(verbose=0))
    await asyncio.sleep(0)

    with pytest.raises(ConfigurationError, match="already searching"):
        await tuner.search(verbose=0)

    assert len((await first).trials) == 20


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "Did you forget to return"),
        ("good", "which cannot be a result"),
        ({"accuracy": 0.9}, "without the objective"),
        ([], "empty list"),
        ({"default_objective": "high"}, "not a number"),
    ],
    ids=str,
)
async def test_what_cannot_be_a_result_ends_the_search(
    tmp_path: Path, result: Any, text: str
) -> None:
    """A wrong return value would fail every trial alike, so it is fatal, with what to return."""

    class Wrong(aiotune.RandomSearch):
        def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
            return kwargs["result"]

    with pytest.raises(aiotune.FatalError, match=text):
        await Wrong(max_trials=9, directory=tmp_path, project_name="p").search(
            result=result, verbose=0
        )


async def test_an_impossible_range_is_told_by_the_trial(tmp_path: Path) -> None:
    """A range that is upside down fails its trials, with the sentence in their message."""

    class Upside(aiotune.RandomSearch):
        def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
            return trial.hyperparameters.Int("units", 512, 32)

    with pytest.raises(aiotune.errors.SearchAborted, match="min_value 512"):
        await Upside(max_trials=9, directory=tmp_path, project_name="p").search(verbose=0)
