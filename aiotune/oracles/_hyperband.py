"""The oracle of Hyperband."""

from __future__ import annotations

from typing import Any

from aiotune.hyperparameters import HyperParameters
from aiotune.oracles._oracle import Oracle
from aiotune.searchers import HyperbandSearcher

__all__ = ("HyperbandOracle",)


class HyperbandOracle(Oracle):
    """Trains many configurations for a few epochs, and the best of them for more.

    The number of trials follows from ``max_epochs``, ``factor`` and
    ``hyperband_iterations``; it is 90 for 50, 3 and 1. A trial that goes on is a
    new trial; see :class:`~aiotune.searchers.HyperbandSearcher`.

    Args:
        objective: As for :class:`Oracle`.
        max_epochs: Epochs of a trial that reaches the last round. A little more than
            the model is expected to need; add early stopping.
        factor: One in this many trials goes on to the next round.
        hyperband_iterations: How often all brackets are run; 0 or ``None``: without end.
        seed: As for :class:`Oracle`; so are the arguments below.
        hyperparameters: See ``seed``.
        allow_new_entries: See ``seed``.
        tune_new_entries: See ``seed``.
        max_retries_per_trial: See ``seed``.
        max_consecutive_failed_trials: See ``seed``.

    Raises:
        ConfigurationError: ``max_epochs`` is no whole number >= 1, ``factor`` none
            >= 2, ``hyperband_iterations`` none >= 0, or another argument impossible.

    Attributes:
        max_epochs: As given.
        factor: As given.
        hyperband_iterations: As given; infinity if there is no end.
    """

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: float | None = 1,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
    ) -> None:
        searcher = HyperbandSearcher(max_epochs, factor, hyperband_iterations)
        super().__init__(
            objective,
            None,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            searcher=searcher,
        )
        self.max_epochs = max_epochs
        self.factor = factor
        self.hyperband_iterations = searcher.iterations
