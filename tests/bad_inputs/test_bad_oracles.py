"""Bad objectives, oracles and pruners: what their constructors refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiotune.errors import ConfigurationError, UnknownDirection, WrongType
from aiotune.hyperparameters import HyperParameters, Int
from aiotune.metrics import MetricHistory, MetricsTracker
from aiotune.objective import MultiObjective, Objective, create_objective
from aiotune.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    Oracle,
    RandomSearchOracle,
)
from aiotune.pruners import (
    MedianPruner,
    PatiencePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)
from aiotune.testing import BadInput, check_refusal

ANY: Any = None
"""Stands for what the annotations would not allow."""


def called(
    where: Callable[..., Any],
    name: str,
    arguments: dict[str, Any],
    error: type[Exception],
    *words: str,
) -> BadInput:
    """A call with keyword arguments; the last word is the remedy."""
    *says, remedy = words
    full = f"{getattr(where, '__name__', where)}: {name}"
    return BadInput(full, where, lambda _: where(**arguments), error, tuple(says), remedy)


def registered_twice(_: Path) -> None:
    """Make a metric known that is known already."""
    tracker = MetricsTracker()
    tracker.register("loss")
    tracker.register("loss")


objective = partial(called, create_objective)
oracle = partial(called, Oracle)
bayesian = partial(called, BayesianOptimizationOracle)
hyperband = partial(called, HyperbandOracle)

ROWS = [
    # ── objectives ──
    objective("a number", {"objective": 3}, WrongType, "`objective`", "3 of type int", "expected a metric's name"),
    objective("a truth", {"objective": True}, WrongType, "`objective`", "True of type bool", "expected a metric's name"),
    objective("a dict", {"objective": {"a": "max"}}, WrongType, "`objective`", "{'a': 'max'} of type dict", "expected a metric's name"),
    objective("a function", {"objective": len}, WrongType, "`objective`", "builtin_function_or_method", "expected a metric's name"),
    objective("a class", {"objective": Objective}, WrongType, "`objective`", "of type type", "expected a metric's name"),
    objective("an array", {"objective": np.array(["loss", "acc"])}, WrongType, "`objective`", "ndarray", "expected a metric's name"),
    objective("an empty list", {"objective": []}, ConfigurationError, "`objective`", "empty list", "Name at least one"),
    objective("an empty name", {"objective": ""}, ConfigurationError, "`objective`", "empty", "name of a metric"),
    objective("an unknown metric", {"objective": "val_quality"}, UnknownDirection, "'val_quality'", "Objective('val_quality', 'max')"),
    objective("a metric misspelt", {"objective": "val_acuracy"}, UnknownDirection, "'val_acuracy'", "Objective('val_acuracy', 'min')"),
    objective("control characters", {"objective": "\x1b]0;you\x07"}, UnknownDirection, r"\x1b]0;you\x07", "Objective("),
    objective("a book", {"objective": "quality" * 1000}, ConfigurationError, "7,000 characters", "Choose a shorter one"),
    objective("an unknown metric among others", {"objective": ["loss", "quality"]}, UnknownDirection, "'quality'", "Objective('quality', 'max')"),
    objective("a number among names", {"objective": ["loss", 3]}, WrongType, "3 of type int", "expected a metric's name"),
    objective("a pair in place of an Objective", {"objective": [("quality", "max")]}, UnknownDirection, "'quality'", "Objective('quality', 'max')"),
    objective("the same metric twice", {"objective": ["loss", "loss"]}, ConfigurationError, "'loss'", "twice", "Name each metric once"),
    objective("the same metric both ways", {"objective": [Objective("a", "min"), Objective("a", "max")]}, ConfigurationError, "'a'", "twice", "Name each metric once"),
    called(Objective, "a direction in words", {"name": "quality", "direction": "upwards"}, ConfigurationError, "'quality'", "'upwards'", "'min' or 'max'"),
    called(Objective, "a direction in capitals", {"name": "quality", "direction": "MAX"}, ConfigurationError, "'quality'", "'MAX'", "'min' or 'max'"),
    called(Objective, "no direction", {"name": "quality", "direction": None}, ConfigurationError, "'quality'", "None", "'min' or 'max'"),
    called(Objective, "a direction in an array", {"name": "quality", "direction": np.array(["min", "max"])}, ConfigurationError, "'quality'", "array(", "'min' or 'max'"),
    called(Objective, "a number for a name", {"name": 3, "direction": "max"}, WrongType, "3 of type int", "name of a metric"),
    called(Objective, "name and direction exchanged", {"name": "max", "direction": "val_accuracy"}, ConfigurationError, "'max'", "'val_accuracy'", "Objective('val_accuracy', 'max')"),
    called(MultiObjective, "names", {"objectives": ["loss"]}, WrongType, "'loss' of type str", "Objective"),
    # ── all oracles ──
    oracle("no trials", {"max_trials": 0}, ConfigurationError, "max_trials", "0", ">= 1"),
    oracle("less than no trials", {"max_trials": -1}, ConfigurationError, "max_trials", "-1", ">= 1"),
    oracle("half a trial", {"max_trials": 0.5}, ConfigurationError, "max_trials", "0.5", "whole number"),
    oracle("trials in words", {"max_trials": "ten"}, ConfigurationError, "max_trials", "'ten'", "whole number"),
    oracle("trials without end", {"max_trials": math.inf}, ConfigurationError, "max_trials", "inf", "None for no limit"),
    oracle("a truth for trials", {"max_trials": True}, ConfigurationError, "max_trials", "True", "whole number"),
    oracle("an array of trials", {"max_trials": np.array([1, 2])}, ConfigurationError, "max_trials", "array([1, 2])", "whole number"),
    oracle("more trials than can be counted", {"max_trials": 10**30}, ConfigurationError, "max_trials", "1000000000000000000000000000000", "None for no limit"),
    oracle("half a seed", {"seed": 0.5}, ConfigurationError, "seed", "0.5", "whole number"),
    oracle("a seed in words", {"seed": "seven"}, ConfigurationError, "seed", "'seven'", "whole number"),
    oracle("a seed of more than 64 bits", {"seed": 2**64}, ConfigurationError, "seed", "18446744073709551616", "64 bits"),
    oracle("a generator for a seed", {"seed": np.random.default_rng(1)}, ConfigurationError, "seed", "Generator", "whole number"),
    oracle("fewer than no retries", {"max_retries_per_trial": -1}, ConfigurationError, "max_retries_per_trial", "-1", ">= 0"),
    oracle("retries in words", {"max_retries_per_trial": "3"}, ConfigurationError, "max_retries_per_trial", "'3'", "whole number"),
    oracle("no number of retries", {"max_retries_per_trial": None}, ConfigurationError, "max_retries_per_trial", "None", "whole number"),
    oracle("a limit of no failures", {"max_consecutive_failed_trials": 0}, ConfigurationError, "max_consecutive_failed_trials", "0", "None for no limit"),
    oracle("a broken limit of failures", {"max_consecutive_failed_trials": 2.5}, ConfigurationError, "max_consecutive_failed_trials", "2.5", "None for no limit"),
    oracle("no new entries, and no space", {"allow_new_entries": False}, ConfigurationError, "allow_new_entries=False", "hyperparameters=..."),
    oracle("no tuning of new entries, and no space", {"tune_new_entries": False}, ConfigurationError, "tune_new_entries=False", "hyperparameters=..."),
    oracle("a dict for a space", {"hyperparameters": {"units": 3}}, WrongType, "hyperparameters", "{'units': 3} of type dict", "HyperParameters()"),
    oracle("a hyperparameter for a space", {"hyperparameters": Int("units", 1, 3)}, WrongType, "hyperparameters", "of type Int", "HyperParameters()"),
    oracle("the class of a space", {"hyperparameters": HyperParameters}, WrongType, "hyperparameters", "of type type", "HyperParameters()"),
    oracle("a name for a searcher", {"searcher": "bayesian"}, WrongType, "searcher", "'bayesian' of type str", "propose()"),
    oracle("the class of a pruner", {"pruner": MedianPruner}, WrongType, "pruner", "MedianPruner", "MedianPruner()"),
    oracle("a name for a pruner", {"pruner": "median"}, WrongType, "pruner", "'median' of type str", "aiotune.pruners"),
    called(RandomSearchOracle, "no trials", {"max_trials": 0}, ConfigurationError, "max_trials", "0", ">= 1"),
    called(GridSearchOracle, "trials in a list", {"max_trials": [3]}, ConfigurationError, "max_trials", "[3]", "whole number"),
    called(GridSearchOracle, "a range for an objective", {"objective": range(3)}, WrongType, "range(0, 3) of type range", "expected a metric's name"),
    # ── Bayesian optimisation ──
    bayesian("fewer than no points", {"num_initial_points": -1}, ConfigurationError, "num_initial_points", "-1", "Leave it out"),
    bayesian("half a point", {"num_initial_points": 2.5}, ConfigurationError, "num_initial_points", "2.5", "Leave it out"),
    bayesian("a negative variance", {"alpha": -1e-4}, ConfigurationError, "alpha", "-0.0001", "not negative"),
    bayesian("no variance", {"alpha": None}, ConfigurationError, "alpha", "None", "finite number"),
    bayesian("a variance in an array", {"alpha": np.array([1e-4])}, ConfigurationError, "alpha", "array([0.0001])", "finite number"),
    bayesian("a curiosity without end", {"beta": math.inf}, ConfigurationError, "beta", "inf", "finite number"),
    bayesian("a curiosity in words", {"beta": "high"}, ConfigurationError, "beta", "'high'", "finite number"),
    # ── Hyperband ──
    hyperband("no epochs", {"max_epochs": 0}, ConfigurationError, "max_epochs", "0", ">= 1"),
    hyperband("half an epoch", {"max_epochs": 0.5}, ConfigurationError, "max_epochs", "0.5", "whole number"),
    hyperband("epochs in words", {"max_epochs": "100"}, ConfigurationError, "max_epochs", "'100'", "whole number"),
    hyperband("epochs beyond count", {"max_epochs": 10**40}, ConfigurationError, "max_epochs", "1,000,000", "at most"),
    hyperband("a factor of one", {"factor": 1}, ConfigurationError, "factor", "1", ">= 2"),
    hyperband("a broken factor", {"factor": 2.5}, ConfigurationError, "factor", "2.5", "whole number"),
    hyperband("fewer than no iterations", {"hyperband_iterations": -1}, ConfigurationError, "hyperband_iterations", "-1", ">= 0"),
    hyperband("half an iteration", {"hyperband_iterations": 0.5}, ConfigurationError, "hyperband_iterations", "0.5", "whole number"),
    hyperband("iterations that are no number", {"hyperband_iterations": math.nan}, ConfigurationError, "hyperband_iterations", "nan", "whole number"),
    hyperband("iterations in words", {"hyperband_iterations": "two"}, ConfigurationError, "hyperband_iterations", "'two'", "whole number"),
    # ── pruners ──
    called(MedianPruner, "no others", {"min_trials": 0}, ConfigurationError, "min_trials", "MedianPruner", "0", ">= 1"),
    called(MedianPruner, "a negative warm-up", {"warmup_steps": -1}, ConfigurationError, "warmup_steps", "MedianPruner", "-1", ">= 0"),
    called(MedianPruner, "half an interval", {"interval": 0.5}, ConfigurationError, "interval", "MedianPruner", "0.5", "whole number"),
    called(SuccessiveHalvingPruner, "no resource", {"min_resource": 0}, ConfigurationError, "min_resource", "SuccessiveHalvingPruner", "0", ">= 1"),
    called(SuccessiveHalvingPruner, "a factor of one", {"factor": 1}, ConfigurationError, "factor", "SuccessiveHalvingPruner", "1", ">= 2"),
    called(SuccessiveHalvingPruner, "a rate in words", {"min_early_stopping_rate": "low"}, ConfigurationError, "min_early_stopping_rate", "'low'", ">= 0"),
    called(SuccessiveHalvingPruner, "rungs beyond count", {"min_early_stopping_rate": 10**6}, ConfigurationError, "min_early_stopping_rate", "1000000", "at most"),
    called(ThresholdPruner, "limits exchanged", {"lower": 2.0, "upper": 1.0}, ConfigurationError, "lower", "2.0", "1.0", "Exchange them"),
    called(ThresholdPruner, "a limit that is no number", {"upper": math.nan}, ConfigurationError, "upper", "nan", "must be a number"),
    called(ThresholdPruner, "a limit in words", {"lower": "0.1"}, ConfigurationError, "lower", "'0.1'", "must be a number"),
    called(ThresholdPruner, "a limit in an array", {"lower": np.array([0.1])}, ConfigurationError, "lower", "array([0.1])", "must be a number"),
    called(PatiencePruner, "no patience", {"patience": 0}, ConfigurationError, "patience", "0", ">= 1"),
    called(PatiencePruner, "a negative improvement", {"patience": 3, "min_delta": -0.1}, ConfigurationError, "min_delta", "-0.1", "not be negative"),
    called(PatiencePruner, "a name for a pruner", {"patience": 3, "wrapped": "median"}, ConfigurationError, "wrapped", "'median'", "pruner or None"),
    called(PatiencePruner, "the class of a pruner", {"patience": 3, "wrapped": MedianPruner}, ConfigurationError, "wrapped", "MedianPruner", "MedianPruner()"),
    # ── metrics ──
    called(MetricHistory, "an unknown direction", {"direction": "upwards"}, ConfigurationError, "`direction`", "'upwards'", "'min' and 'max'"),
    BadInput("MetricsTracker.register: twice", MetricsTracker.register, registered_twice, ConfigurationError, ("'loss'", "already"), "update()"),
    BadInput("MetricsTracker.get_history: unknown", MetricsTracker.get_history, lambda _: MetricsTracker().get_history("loss"), ConfigurationError, ("'loss'", "[]"), "update()"),
    BadInput("MetricsTracker.update: a text", MetricsTracker.update, lambda _: MetricsTracker().update("loss", "low"), WrongType, ("'loss'", "'low' of type str"), "a number"),  # type: ignore[arg-type]
    BadInput("MetricsTracker.update: nothing", MetricsTracker.update, lambda _: MetricsTracker().update("loss", ANY), WrongType, ("'loss'", "None of type NoneType"), "a number"),
]  # fmt: skip


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
def test_a_bad_oracle_is_refused_in_a_sentence(bad: BadInput, tmp_path: Path) -> None:
    """The error names the argument and its value, and says what it may be."""
    check_refusal(bad, tmp_path)
