"""Bad tuners: what their constructors refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.engine.tuner import maybe_distribute
from aiotune.errors import ConfigurationError, FatalTypeError, FatalValueError, WrongType
from aiotune.hyperparameters import Int
from aiotune.oracles import RandomSearchOracle
from aiotune.testing import BadInput, check_refusal

ANY: Any = None
"""Stands for what the annotations would not allow."""


class Parabola(aiotune.RandomSearch):
    """A function; fast, and without keras."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        return x * x


class Lookalike:
    """Has a method of an oracle, and not the others."""

    def create_trial(self) -> None:
        """Create nothing."""


class Model(aiotune.HyperModel):
    def build(self, hp: aiotune.HyperParameters) -> None:
        hp.Int("units", 1, 9)


class Unbuildable(aiotune.HyperModel):
    def buidl(self, hp: aiotune.HyperParameters) -> None:
        hp.Int("units", 1, 9)


def takes_nothing() -> None:
    """Build without hyperparameters."""


def takes_two(hp: aiotune.HyperParameters, size: int) -> None:
    """Build with something that nobody gives."""


async def awaits(hp: aiotune.HyperParameters) -> None:
    """Build later."""


def tuner(
    name: str,
    arguments: dict[str, Any],
    error: type[Exception],
    *words: str,
    where: Callable[..., Any] = aiotune.RandomSearch,
    made: Callable[..., Any] = Parabola,
) -> BadInput:
    """A tuner with these arguments, in a folder of its own; the last word is the remedy."""
    *says, remedy = words

    def provoke(folder: Path) -> None:
        made(**{"directory": folder, **arguments})

    return BadInput(f"{made.__name__}: {name}", where, provoke, error, tuple(says), remedy)


def named(name: str, project_name: Any, *words: str) -> BadInput:
    """A project of this name."""
    text = "project_name", *words
    return tuner(
        f"project_name: {name}",
        {"project_name": project_name},
        ConfigurationError,
        *text,
        "directory=...",
    )


resource = partial(tuner, where=aiotune.Tuner)
model = partial(tuner, made=aiotune.RandomSearch)
sklearn = partial(
    tuner,
    where=aiotune.SklearnTuner,
    made=lambda **arguments: aiotune.SklearnTuner(
        **{"oracle": RandomSearchOracle(), "hypermodel": lambda hp: hp, **arguments}
    ),
)

ROWS = [
    # ── names of projects ──
    named("the directory above", "../precious", "'../precious'"),
    named("two dots within", "a..b", "'a..b'"),
    named("two dots alone", "..", "'..'"),
    named("a path", "runs/mnist", "'runs/mnist'"),
    named("an absolute path", "/etc", "'/etc'"),
    named("nothing", "", "''"),
    named("a blank", " ", "' '"),
    named("a dot before", ".hidden", "'.hidden'"),
    named("an option", "-rf", "'-rf'"),
    named("control characters", "a\n\x1b[31mb", r"'a\n\x1b[31mb'"),
    named("a zero byte", "a\0b", r"'a\x00b'"),
    named("300 characters", "p" * 300, "300 characters"),
    named("another alphabet", "größe", "'größe'"),
    named("a device of another system, with its colon", "con:", "'con:'"),
    named("a number", 7, "7"),
    named("bytes", b"p", "b'p'"),
    named("a path object", Path("p"), "Path('p')"),
    tuner("tuner_id: a path", {"tuner_id": "../t"}, ConfigurationError, "tuner_id", "'../t'", "letter or digit"),
    tuner("tuner_id: a number", {"tuner_id": 3}, ConfigurationError, "tuner_id", "3", "letter or digit"),
    # ── directories, before anything is opened ──
    tuner("directory: a number", {"directory": 7}, WrongType, "directory", "7 of type int", "pathlib.Path"),
    tuner("directory: a list", {"directory": ["runs"]}, WrongType, "directory", "['runs'] of type list", "pathlib.Path"),
    tuner("directory: bytes", {"directory": b"runs"}, WrongType, "directory", "b'runs' of type bytes", "pathlib.Path"),
    tuner("directory: no text", {"directory": "a\udcffb"}, ConfigurationError, "directory", r"a\udcffb", "UTF-8", "Choose another"),
    tuner("directory: a zero byte", {"directory": "a\0b"}, ConfigurationError, "directory", r"'a\x00b'", "Choose another"),
    tuner("directory: an open file", {"directory": pytest}, WrongType, "directory", "of type module", "pathlib.Path"),
    # ── what KerasTuner's users misspell ──
    tuner("an argument misspelt", {"max_trails": 3}, ConfigurationError, "'max_trails'", "max_trials"),
    tuner("an argument of fit", {"epochs": 3}, ConfigurationError, "'epochs'", "belong to search()"),
    tuner("arguments that are none", {"chief": True, "workers": 4}, ConfigurationError, "['chief', 'workers']", "spelling"),
    # ── numbers of a tuner ──
    tuner("overwrite: a word", {"overwrite": "no"}, WrongType, "overwrite", "'no' of type str", "True or False"),
    resource("executions_per_trial: none", {"executions_per_trial": 0}, ConfigurationError, "executions_per_trial", "0", ">= 1"),
    resource("executions_per_trial: half", {"executions_per_trial": 0.5}, ConfigurationError, "executions_per_trial", "0.5", "whole number"),
    resource("max_model_size: none", {"max_model_size": 0}, ConfigurationError, "max_model_size", "0", ">= 1"),
    resource("max_model_size: in words", {"max_model_size": "1M"}, ConfigurationError, "max_model_size", "'1M'", "whole number"),
    resource("max_model_size: a float", {"max_model_size": 1e6}, ConfigurationError, "max_model_size", "1000000.0", "whole number"),
    resource("keep_best: none", {"keep_best": 0}, ConfigurationError, "keep_best", "0", "None to keep all"),
    resource("keep_best: fewer", {"keep_best": -1}, ConfigurationError, "keep_best", "-1", "None to keep all"),
    resource("resume_every: back in time", {"resume_every": -1}, ConfigurationError, "resume_every", "-1", "None"),
    resource("resume_every: in words", {"resume_every": "minute"}, ConfigurationError, "resume_every", "'minute'", "None"),
    resource("trial_timeout: none", {"trial_timeout": 0}, ConfigurationError, "trial_timeout", "0", "> 0 seconds"),
    resource("trial_timeout: a NaN", {"trial_timeout": math.nan}, ConfigurationError, "trial_timeout", "nan", "> 0 seconds"),
    resource("trial_timeout: in words", {"trial_timeout": "1h"}, ConfigurationError, "trial_timeout", "'1h'", "> 0 seconds"),
    resource("trial_timeout: a timedelta", {"trial_timeout": timedelta(hours=1)}, ConfigurationError, "trial_timeout", "timedelta", "total_seconds()"),
    resource("trial_timeout: an array", {"trial_timeout": np.array([1.0, 2.0])}, ConfigurationError, "trial_timeout", "array([1., 2.])", "> 0 seconds"),
    resource("stall_warn: back in time", {"stall_warn": -3}, ConfigurationError, "stall_warn", "-3", "> 0 seconds"),
    resource("stall_timeout: none", {"stall_timeout": 0.0}, ConfigurationError, "stall_timeout", "0.0", "> 0 seconds"),
    resource("stall_timeout: a list", {"stall_timeout": [60]}, ConfigurationError, "stall_timeout", "[60]", "> 0 seconds"),
    resource("stop_grace: back in time", {"stop_grace": -1}, ConfigurationError, "stop_grace", "-1", ">= 0 seconds"),
    resource("stop_grace: nothing", {"stop_grace": None}, ConfigurationError, "stop_grace", "None", ">= 0 seconds"),
    resource("weigh: a word", {"weigh": "sometimes"}, WrongType, "weigh", "'sometimes' of type str", "True or False"),
    resource("halve_batch: a number", {"halve_batch": 3}, WrongType, "halve_batch", "3 of type int", "True or False"),
    # ── devices ──
    resource("max_parallel_trials: none", {"max_parallel_trials": 0}, ConfigurationError, "max_parallel_trials", "0", "at least 1"),
    resource("max_parallel_trials: in words", {"max_parallel_trials": "all"}, ConfigurationError, "max_parallel_trials", "'all'", "leave it out"),
    resource("max_trials_per_gpu: in words", {"max_trials_per_gpu": "many"}, ConfigurationError, "max_trials_per_gpu", "'many'", "'auto'"),
    resource("max_trials_per_gpu: half", {"max_trials_per_gpu": 0.5}, ConfigurationError, "max_trials_per_gpu", "0.5", "'auto'"),
    resource("max_trials_per_gpu: an array", {"max_trials_per_gpu": np.array([1, 2])}, ConfigurationError, "max_trials_per_gpu", "array([1, 2])", "'auto'"),
    resource("gpus_per_trial: none", {"gpus_per_trial": 0}, ConfigurationError, "gpus_per_trial", "0", "devices=[]"),
    resource("gpus_per_trial: a truth", {"gpus_per_trial": True}, ConfigurationError, "gpus_per_trial", "True", "at least 1"),
    resource("gpu_memory: nothing at all", {"gpu_memory": 0}, ConfigurationError, "gpu_memory", "0", "leave gpu_memory out"),
    resource("gpu_memory: less than nothing", {"gpu_memory": -1}, ConfigurationError, "gpu_memory", "-1", "'8GiB'"),
    resource("gpu_memory: a unit that is none", {"gpu_memory": "8 gigs"}, ConfigurationError, "gpu_memory", "'8 gigs'", "'8GiB'"),
    resource("gpu_memory: a share", {"gpu_memory": 0.5}, ConfigurationError, "gpu_memory", "0.5", "'8GiB'"),
    resource("gpu_memory: more than there is anywhere", {"gpu_memory": "999999999999TiB"}, ConfigurationError, "gpu_memory", "999999999999TiB", "64 bits"),
    resource("devices: a number", {"devices": 0}, WrongType, "devices", "0 of type int", "devices=[0]"),
    resource("devices: a text", {"devices": "0,1"}, WrongType, "devices", "'0,1' of type str", "devices=[0]"),
    resource("devices: names of another library", {"devices": ["cuda:0"]}, ConfigurationError, "devices", "'cuda:0'", "devices=[0]"),
    resource("devices: a fraction", {"devices": [0.5]}, ConfigurationError, "devices", "0.5", "devices=[0]"),
    resource("devices: less than none", {"devices": [-1]}, ConfigurationError, "devices", "-1", "devices=[0]"),
    resource("devices: a truth", {"devices": [True]}, ConfigurationError, "devices", "True", "devices=[0]"),
    resource("devices: one twice", {"devices": [0, 0]}, ConfigurationError, "devices", "0", "Name each GPU once"),
    resource("calibration: an unknown word", {"calibration": "global"}, ConfigurationError, "calibration", "'global'", "'project' or 'user'"),
    resource("calibration: a list", {"calibration": ["user"]}, ConfigurationError, "calibration", "['user']", "'project' or 'user'"),
    resource("executor: an unknown word", {"executor": "cluster"}, ConfigurationError, "executor", "'cluster'", "'local', 'inline'"),
    resource("executor: a number", {"executor": 4}, ConfigurationError, "executor", "4", "'local', 'inline'"),
    resource("executor: a class", {"executor": aiotune.Tuner}, ConfigurationError, "executor", "Tuner", "'local', 'inline'"),
    resource("start_method: a word of multiprocessing", {"start_method": "forkserver"}, ConfigurationError, "start_method", "'forkserver'", "'auto', 'fork' or 'spawn'"),
    resource("start_method: nothing", {"start_method": None}, ConfigurationError, "start_method", "None", "'auto', 'fork' or 'spawn'"),
    resource("pruner: a word", {"pruner": "median"}, WrongType, "pruner", "'median' of type str", "aiotune.pruners"),
    resource("distribution_strategy: an object", {"distribution_strategy": object()}, ConfigurationError, "distribution_strategy", "object", "Pass a function"),
    # ── hypermodels ──
    model("no hypermodel", {}, ConfigurationError, "hypermodel=None", "Pass a function"),
    model("hypermodel: a number", {"hypermodel": 7}, FatalValueError, "hypermodel", "7 of type int", "a function that takes hyperparameters"),
    model("hypermodel: its class", {"hypermodel": Model}, FatalValueError, "hypermodel", "the class Model", "Write Model()"),
    model("hypermodel: a class that is none", {"hypermodel": Lookalike}, FatalTypeError, "hypermodel", "Lookalike()", "build(hp)"),
    model("hypermodel: a list of functions", {"hypermodel": [takes_two]}, FatalValueError, "hypermodel", "of type list", "a function that takes hyperparameters"),
    model("hypermodel: hyperparameters", {"hypermodel": aiotune.HyperParameters()}, FatalValueError, "hypermodel", "HyperParameters", "a function that takes hyperparameters"),
    model("hypermodel: no parameter", {"hypermodel": takes_nothing}, FatalTypeError, "takes_nothing()", "build(hp)"),
    model("hypermodel: a parameter too many", {"hypermodel": takes_two}, FatalTypeError, "takes_two(hp", "build(hp)"),
    model("hypermodel: a coroutine function", {"hypermodel": awaits}, FatalTypeError, "awaits(hp", "without async"),
    model("hypermodel: no build", {"hypermodel": Unbuildable()}, FatalValueError, "Unbuildable", "build(hp)"),
    # ── oracles in place of others ──
    BadInput("Tuner: a function for an oracle", aiotune.Tuner, lambda _: aiotune.Tuner(takes_two, takes_two), ConfigurationError, ("oracle", "of type function"), "RandomSearchOracle"),  # type: ignore[arg-type]
    BadInput("Tuner: half an oracle", aiotune.Tuner, lambda _: aiotune.Tuner(Lookalike(), Model()), ConfigurationError, ("oracle", "of type Lookalike"), "RandomSearchOracle"),  # type: ignore[arg-type]
    BadInput("Tuner: the class of an oracle", aiotune.Tuner, lambda _: aiotune.Tuner(RandomSearchOracle, Model()), ConfigurationError, ("oracle", "RandomSearchOracle"), "RandomSearchOracle()"),  # type: ignore[arg-type]
    BadInput("Tuner: a tuner for an oracle", aiotune.Tuner, lambda _: aiotune.Tuner(Parabola(), Model()), ConfigurationError, ("oracle", "of type Parabola"), "RandomSearchOracle"),  # type: ignore[arg-type]
    tuner("hyperparameters: a list", {"hyperparameters": [Int("units", 1, 9)]}, WrongType, "hyperparameters", "of type list", "HyperParameters()"),
    BadInput("maybe_distribute: a word", maybe_distribute, lambda _: maybe_distribute("mirrored"), WrongType, ("distribution_strategy", "'mirrored' of type str"), "scope()"),
    # ── scikit-learn ──
    sklearn("scoring: a number", {"scoring": 3}, ConfigurationError, "scoring", "3 of type int", "f(estimator, X, y)"),
    sklearn("metrics: a word", {"metrics": "accuracy"}, ConfigurationError, "metrics", "'accuracy'", "f(y, prediction)"),
    sklearn("metrics: one twice", {"metrics": [max, max]}, ConfigurationError, "'max'", "__name__"),
    sklearn("cv: one fold", {"cv": 1}, ConfigurationError, "cv", "1", "at least 2"),
    sklearn("cv: in words", {"cv": "five"}, ConfigurationError, "cv", "'five'", "number of folds"),
    sklearn("cv: half a fold", {"cv": 2.5}, ConfigurationError, "cv", "2.5", "number of folds"),
    sklearn("no hypermodel", {"hypermodel": None}, ConfigurationError, "hypermodel=None", "Pass a function"),
    sklearn("an objective that is not measured", {"oracle": RandomSearchOracle("val_loss")}, ConfigurationError, "'val_loss'", "Leave the objective out"),
    sklearn("the worst score", {"oracle": RandomSearchOracle(aiotune.Objective("score", "min"))}, ConfigurationError, '"score", "min"', 'Objective("score", "max")'),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_tuner_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error names the argument and its value, says what it may be, and nothing is made on disk."""
    check_refusal(bad, tmp_path)
