"""Bayesian search: what it may be told."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest

from aiotune import BayesianOptimization
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import BayesianOptimizationOracle
from aiotune.searchers import BayesianSearcher, FrozenHistory, Proposal, Tried
from aiotune.status import TrialStatus


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"num_initial_points": -1}, r"`num_initial_points` must be a whole number .* -1"),
        ({"num_initial_points": 2.5}, r"`num_initial_points` must be a whole number .* 2\.5"),
        ({"alpha": -1e-4}, r"`alpha` must be a finite number .* -0\.0001"),
        ({"alpha": "little"}, r"`alpha` must be a finite number .* 'little'"),
        ({"beta": math.nan}, r"`beta` must be a finite number .* nan"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    """The message names the argument, what it must be and what it is."""
    with pytest.raises(ConfigurationError, match=sentence):
        BayesianSearcher(**arguments)


def test_no_number_of_initial_points_and_zero_mean_the_default() -> None:
    """As KerasTuner has it."""
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    tried = [Tried(i, {"x": 0.1 * i}, TrialStatus.COMPLETED, 0.1 * i) for i in range(6)]
    history = FrozenHistory(0, 0, hp, True, tried, (), frozenset())

    proposals = [
        BayesianSearcher(num_initial_points=count).propose(history, 6) for count in (None, 0)
    ]

    assert isinstance(proposals[0], Proposal)
    assert proposals[0] == proposals[1]


@pytest.mark.parametrize(
    "arguments", [{"alpha": 0.0}, {"alpha": 1e3}, {"beta": 0.0}, {"beta": 1e9}], ids=str
)
def test_extreme_arguments_still_propose(arguments: dict[str, Any]) -> None:
    """No noise, nothing but noise, no curiosity, nothing but curiosity: no warning, a new place."""
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    hp.Float("y", 0.0, 1.0)
    tried = [
        Tried(i, {"x": 0.07 * i, "y": 0.5 + 0.01 * i}, TrialStatus.COMPLETED, (0.07 * i - 0.4) ** 2)
        for i in range(12)
    ]
    history = FrozenHistory(0, 0, hp, True, tried, (), frozenset())

    decision = BayesianSearcher(**arguments).propose(history, 12)

    assert isinstance(decision, Proposal)
    assert all(decision.values != old.values for old in tried)


def test_the_oracle_takes_its_arguments_in_the_order_of_kerastuner() -> None:
    """Programs that pass them by position go on working."""
    expected = (
        "objective max_trials num_initial_points alpha beta seed hyperparameters "
        "allow_new_entries tune_new_entries max_retries_per_trial max_consecutive_failed_trials"
    )

    assert list(inspect.signature(BayesianOptimizationOracle).parameters) == expected.split()


def test_the_tuner_takes_its_arguments_in_the_order_of_kerastuner() -> None:
    """Which is another order than the oracle's."""
    expected = (
        "hypermodel objective max_trials num_initial_points alpha beta seed hyperparameters "
        "tune_new_entries allow_new_entries max_retries_per_trial max_consecutive_failed_trials kwargs"
    )

    assert list(inspect.signature(BayesianOptimization).parameters) == expected.split()


def test_the_tuner_hands_its_arguments_to_its_oracle() -> None:
    """What is passed is what the searcher goes by."""
    tuner = BayesianOptimization(
        lambda hp: None, "val_loss", 7, num_initial_points=5, alpha=0.01, beta=1.0, seed=3
    )

    oracle = tuner.oracle
    assert isinstance(oracle, BayesianOptimizationOracle)
    assert (oracle.max_trials, oracle.seed) == (7, 3)
    assert (oracle.num_initial_points, oracle.alpha, oracle.beta) == (5, 0.01, 1.0)
    assert isinstance(oracle.searcher, BayesianSearcher)
    assert oracle.searcher.is_heavy


async def test_an_oracle_alone_asks_and_tells_to_the_end_of_a_finite_space() -> None:
    """Five configurations, each once, then STOPPED; the answers come from another thread."""
    hp = HyperParameters()
    hp.Int("a", 1, 5)
    oracle = BayesianOptimizationOracle("loss", 20, 2, seed=1, hyperparameters=hp)
    asked = []
    while (trial := await oracle.create_trial("me")).status is not TrialStatus.STOPPED:
        asked.append(trial.values["a"])
        await oracle.update_trial(trial.trial_id, {"loss": float(trial.values["a"])})
        await oracle.end_trial(trial)

    assert sorted(asked) == [1, 2, 3, 4, 5]
    assert oracle.get_best_trials()[0].values == {"a": 1}


def test_values_that_a_nan_score_hides_are_not_modelled() -> None:
    """A history of nothing but NaN is one without results: the design goes on."""
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    tried = [Tried(i, {"x": 0.1 * i}, TrialStatus.COMPLETED, math.nan) for i in range(8)]
    history = FrozenHistory(0, 0, hp, True, tried, (), frozenset())

    decision = BayesianSearcher().propose(history, 8)

    assert isinstance(decision, Proposal)
    assert 0.0 <= float(decision.values["x"]) <= 1.0
