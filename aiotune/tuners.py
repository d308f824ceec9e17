"""The familiar tuners: a search algorithm and its tuner in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotune.sklearn_tuner import SklearnTuner
from aiotune.tuner import Tuner

if TYPE_CHECKING:
    from aiotune.hyperparameters import HyperParameters

__all__ = (
    "BayesianOptimization",
    "GridSearch",
    "Hyperband",
    "RandomSearch",
    "SklearnTuner",
    "Tuner",
)


class RandomSearch(Tuner):
    """Tries random configurations, never the same one twice.

    Args:
        hypermodel: As for :class:`Tuner`.
        objective: What to optimise: a metric's name, an ``Objective``, a list
            of these, or ``None`` if trials return a single number to minimise.
        max_trials: How many configurations to try.
        seed: Makes the configurations reproducible, whatever the number of workers.
        hyperparameters: A search space given in advance; default what the model asks for.
        tune_new_entries: Whether to tune hyperparameters that are not in it.
        allow_new_entries: Whether the model may ask for others at all.
        max_retries_per_trial: How often a trial that failed is run again.
        max_consecutive_failed_trials: How many failed trials in a row end the
            search; ``None``: no limit.
        **kwargs: Arguments of :class:`Tuner`.

    Raises:
        ConfigurationError: An argument is wrong, or not known.
        FatalError: The hypermodel is none, as for :class:`Tuner`.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
        **kwargs: Any,
    ) -> None:
        from aiotune.oracles import RandomSearchOracle

        self.seed = seed
        oracle = RandomSearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(oracle, hypermodel, **kwargs)


class BayesianOptimization(Tuner):
    """Models the objective by a Gaussian process and tries what promises most.

    Unlike KerasTuner's it never tries a configuration twice, learns from
    trials that failed or were refused for lack of memory, begins anew when it has
    converged, and takes milliseconds for a proposal; see
    :class:`~aiotune.searchers.BayesianSearcher`.

    Args:
        hypermodel: As for :class:`Tuner`.
        objective: As for :class:`RandomSearch`.
        max_trials: How many configurations to try.
        num_initial_points: How many trials fill the space before the model
            decides; default, also for 0, one more than there are
            hyperparameters that vary, but at least 4 and at most 10.
        alpha: The variance of noise that is expected of the scores, where their own is 1;
            what there is, is learned, down to a ten-thousandth of it.
        beta: How much uncertainty attracts: more explores, less stays near what is good.
        seed: Makes proposals reproducible, given the results and their order.
        hyperparameters: As for :class:`RandomSearch`.
        tune_new_entries: As for :class:`RandomSearch`.
        allow_new_entries: As for :class:`RandomSearch`.
        max_retries_per_trial: As for :class:`RandomSearch`.
        max_consecutive_failed_trials: As for :class:`RandomSearch`.
        **kwargs: Arguments of :class:`Tuner`.

    Raises:
        ConfigurationError: An argument is wrong, or not known.
        FatalError: The hypermodel is none, as for :class:`Tuner`.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 0.0001,
        beta: float = 2.6,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
        **kwargs: Any,
    ) -> None:
        from aiotune.oracles import BayesianOptimizationOracle

        oracle = BayesianOptimizationOracle(
            objective=objective,
            max_trials=max_trials,
            num_initial_points=num_initial_points,
            alpha=alpha,
            beta=beta,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(oracle, hypermodel, **kwargs)


class GridSearch(Tuner):
    """Tries every combination of values, the last declared hyperparameter varying fastest.

    A ``Float`` without a step is tried at its default and ten points of its range.

    Args:
        hypermodel: As for :class:`Tuner`.
        objective: As for :class:`RandomSearch`.
        max_trials: How many combinations to try; ``None``: all.
        seed: Seeds the training of the trials; the grid does not depend on it.
        hyperparameters: As for :class:`RandomSearch`.
        tune_new_entries: As for :class:`RandomSearch`.
        allow_new_entries: As for :class:`RandomSearch`.
        max_retries_per_trial: As for :class:`RandomSearch`.
        max_consecutive_failed_trials: As for :class:`RandomSearch`.
        **kwargs: Arguments of :class:`Tuner`.

    Raises:
        ConfigurationError: An argument is wrong, or not known.
        FatalError: The hypermodel is none, as for :class:`Tuner`.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
        **kwargs: Any,
    ) -> None:
        from aiotune.oracles import GridSearchOracle

        self.seed = seed
        oracle = GridSearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(oracle, hypermodel, **kwargs)


class Hyperband(Tuner):
    """Trains many configurations for a few epochs, and the best of them for more.

    Sets ``epochs`` and ``initial_epoch`` of ``model.fit``, whatever ``search()`` is given. A trial
    that goes on to more epochs is a new trial that continues its parent's training.

    Args:
        hypermodel: As for :class:`Tuner`.
        objective: As for :class:`RandomSearch`.
        max_epochs: Epochs of a trial that is trained to the end: a little more than the model is
            expected to need. Early stopping goes well with it.
        factor: One in this many trials goes on to the next round.
        hyperband_iterations: How often the whole is repeated with other
            configurations: as often as can be afforded. 0 or ``None``: without end.
        seed: As for :class:`RandomSearch`.
        hyperparameters: As for :class:`RandomSearch`.
        tune_new_entries: As for :class:`RandomSearch`.
        allow_new_entries: As for :class:`RandomSearch`.
        max_retries_per_trial: As for :class:`RandomSearch`.
        max_consecutive_failed_trials: As for :class:`RandomSearch`.
        **kwargs: Arguments of :class:`Tuner`.

    Raises:
        ConfigurationError: An argument is wrong, or not known.
        FatalError: The hypermodel is none, as for :class:`Tuner`.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: float | None = 1,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
        **kwargs: Any,
    ) -> None:
        from aiotune.oracles import HyperbandOracle

        self.seed = seed
        oracle = HyperbandOracle(
            objective=objective,
            max_epochs=max_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        super().__init__(oracle, hypermodel, **kwargs)
