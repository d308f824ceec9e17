"""Numbers of other types than Python's, as arguments."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune._arguments import check_number, check_seconds, check_truth, check_whole
from aiotune._devices import Wanted
from aiotune.errors import ConfigurationError
from aiotune.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle
from aiotune.pruners import MedianPruner, PatiencePruner

whole: Any = np.int64
real: Any = np.float32


class Nothing(aiotune.Tuner):
    """A tuner whose trials do nothing."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        return 0.0


@pytest.mark.parametrize("value", [np.prod([3, 2]), np.int8(6), np.uint64(6), np.array([6])[0]])
def test_a_whole_number_of_any_type_is_taken_as_an_int(value: Any) -> None:
    """Numpy's whole numbers come out as Python's."""
    assert type(check_whole("max_trials", value, 1)) is int


def test_a_number_of_any_type_is_taken_as_a_float() -> None:
    """Numpy's floats and fractions come out as Python's; so do seconds and truths."""
    assert type(check_number("x", np.float32(0.5))) is float
    assert type(check_seconds("timeout", Fraction(1, 2))) is float
    assert check_truth("weigh", np.True_) is True


@pytest.mark.parametrize("value", [np.float64(3.0), True, np.True_, "3", Decimal(3)])
def test_what_is_not_whole_is_refused(value: Any) -> None:
    """A float, a truth, a text and a decimal number are not whole numbers."""
    with pytest.raises(ConfigurationError, match="max_trials must be a whole number"):
        check_whole("max_trials", value, 1)


def test_oracles_take_numbers_of_numpy() -> None:
    """Budget, seed and retries are Python's own afterwards, as records need them."""
    oracle = RandomSearchOracle(
        max_trials=whole(6),
        seed=whole(3),
        max_retries_per_trial=whole(1),
        max_consecutive_failed_trials=whole(2),
    )
    numbers = (oracle.max_trials, oracle.seed, oracle.max_retries_per_trial)
    assert [type(number) for number in numbers] == [int] * 3
    HyperbandOracle(max_epochs=whole(9), factor=whole(3), hyperband_iterations=whole(2))
    BayesianOptimizationOracle(num_initial_points=whole(4), alpha=real(1e-4))


def test_tuners_take_numbers_of_numpy(tmp_path: Path) -> None:
    """So are a tuner's."""
    tuner = Nothing(
        RandomSearchOracle(max_trials=1),
        directory=tmp_path,
        executions_per_trial=whole(2),
        max_model_size=whole(1000),
        max_parallel_trials=whole(2),
        gpus_per_trial=whole(1),
        trial_timeout=real(5),
        stop_grace=whole(1),
    )
    assert type(tuner.executions_per_trial) is type(tuner.max_model_size) is int
    assert type(tuner.trial_timeout) is float
    wanted = Wanted(max_parallel_trials=whole(2), devices=[whole(0)], gpu_memory=whole(9))
    assert type(wanted.max_parallel_trials) is int
    assert wanted.memory_bytes == 9


def test_pruners_take_numbers_of_numpy() -> None:
    """So are a pruner's."""
    assert type(MedianPruner(min_trials=whole(3)).min_trials) is int
    assert type(PatiencePruner(patience=whole(3), min_delta=real(0.5)).min_delta) is float
