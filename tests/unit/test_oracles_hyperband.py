"""Hyperband's oracle and tuner: their arguments, and a search by ask and tell."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

import aiotune
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import HyperbandOracle
from aiotune.status import TrialStatus


def space() -> HyperParameters:
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    return hp


async def test_ask_and_tell() -> None:
    """A loop over create_trial and end_trial, as a program of one's own would have it."""
    oracle = HyperbandOracle("loss", 9, 3, seed=1, hyperparameters=space())
    epochs: Counter[Any] = Counter()

    async with oracle.open():
        while (trial := await oracle.create_trial("mine")).status is TrialStatus.RUNNING:
            epochs[trial.budget["initial_epoch"], trial.budget["epochs"]] += 1
            await oracle.update_trial(trial.trial_id, {"loss": float(trial.values["x"])})
            await oracle.end_trial(trial)

    (best,) = oracle.get_best_trials()
    assert epochs == {(0, 1): 9, (1, 3): 3, (3, 9): 1 + 2, (0, 3): 5, (0, 9): 3}
    assert best.score == min(t.score or 1.0 for t in oracle.trials.values())
    assert oracle.remaining_trials() is None


def test_arguments_are_in_kerastuners_order() -> None:
    """Whoever passes them by position means the same."""
    hp = space()

    oracle = HyperbandOracle("loss", 30, 4, 2, 7, hp, True, True, 1, 5)

    assert (oracle.max_epochs, oracle.factor, oracle.hyperband_iterations) == (30, 4, 2)
    assert (oracle.seed, oracle.max_trials) == (7, None)
    assert (oracle.max_retries_per_trial, oracle.max_consecutive_failed_trials) == (1, 5)
    assert oracle.hyperparameters.space == hp.space


@pytest.mark.parametrize("iterations", [0, None, math.inf])
def test_iterations_without_end_are_infinitely_many(iterations: float | None) -> None:
    """However it was said."""
    assert HyperbandOracle(hyperband_iterations=iterations).hyperband_iterations == math.inf


def test_the_tuner_hands_its_arguments_on() -> None:
    """What Hyperband() is given, its oracle has."""
    tuner = aiotune.Hyperband(
        lambda hp: hp,
        "val_accuracy",
        20,
        2,
        3,
        seed=0,
        hyperparameters=space(),
        max_retries_per_trial=2,
        max_consecutive_failed_trials=None,
    )

    oracle = tuner.oracle
    assert isinstance(oracle, HyperbandOracle)
    assert (oracle.max_epochs, oracle.factor, oracle.hyperband_iterations) == (20, 2, 3)
    assert (oracle.seed, oracle.objective.direction) == (0, "max")
    assert (oracle.max_retries_per_trial, oracle.max_consecutive_failed_trials) == (2, None)


def test_an_impossible_factor_is_refused_where_it_is_given() -> None:
    """By the constructor, before anything is built."""
    with pytest.raises(ConfigurationError, match="factor of Hyperband must be a whole number >= 2"):
        aiotune.Hyperband(lambda hp: hp, "loss", factor=1)
