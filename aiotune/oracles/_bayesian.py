"""The oracle of Bayesian optimisation."""

from __future__ import annotations

from typing import Any

from aiotune.hyperparameters import HyperParameters
from aiotune.oracles._oracle import Oracle
from aiotune.searchers import BayesianSearcher

__all__ = ("BayesianOptimizationOracle",)


class BayesianOptimizationOracle(Oracle):
    """Bayesian optimisation with a Gaussian process.

    See :class:`~aiotune.searchers.BayesianSearcher` for ``num_initial_points``,
    ``alpha`` and ``beta``, and :class:`Oracle` for the other arguments.

    Raises:
        ConfigurationError: An argument is impossible.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
    ) -> None:
        searcher = BayesianSearcher(num_initial_points, alpha, beta)
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            searcher=searcher,
        )
        self.num_initial_points = searcher.num_initial_points
        self.alpha, self.beta = searcher.alpha, searcher.beta
