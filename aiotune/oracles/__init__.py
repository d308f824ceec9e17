"""Oracles: the async face of a searcher, its trial table and its retries."""

from __future__ import annotations

from typing import Any

from aiotune.hyperparameters import HyperParameters
from aiotune.oracles._bayesian import BayesianOptimizationOracle
from aiotune.oracles._hyperband import HyperbandOracle
from aiotune.oracles._oracle import Oracle
from aiotune.oracles._synchronized import synchronized
from aiotune.searchers import GridSearcher, RandomSearcher

__all__ = (
    "BayesianOptimizationOracle",
    "GridSearchOracle",
    "HyperbandOracle",
    "Oracle",
    "RandomSearchOracle",
    "synchronized",
)


class RandomSearchOracle(Oracle):
    """Random configurations, never the same one twice; see :class:`Oracle` for the arguments.

    Raises:
        ConfigurationError: An argument is impossible.
    """

    proposes_ahead = True

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            searcher=RandomSearcher(),
        )


class GridSearchOracle(Oracle):
    """Every combination once; see :class:`Oracle` for the arguments.

    Raises:
        ConfigurationError: An argument is impossible.
    """

    proposes_ahead = True

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            searcher=GridSearcher(),
        )
