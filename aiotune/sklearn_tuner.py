"""The tuner of scikit-learn estimators: a trial is a cross-validation.

Like every tuner it is imported by workers too. scikit-learn itself is only
imported there, and where an estimator is refitted.
"""

from __future__ import annotations

import functools
import importlib.util
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aiotune._printable import shown
from aiotune.base_tuner import BaseTuner
from aiotune.errors import ConfigurationError, MissingExtra
from aiotune.objective import DefaultObjective, Objective

if TYPE_CHECKING:
    from aiotune.oracles import Oracle
    from aiotune.result import SearchResult
    from aiotune.trial import Trial
    from aiotune.worker._sklearn import Recipe, Rows

__all__ = ("SklearnTuner",)

SCORE = "score"


class SklearnTuner(BaseTuner):
    """Searches the hyperparameters of scikit-learn estimators by cross-validation.

    Each trial builds a new estimator for each fold, fits it on the rest and scores it on the
    fold. Its result is the mean over folds; ``trial.executions`` has every fold's. A pruner
    judges the mean of the folds so far, a step a fold, and spares bad trials the rest::

        def build(hp):
            return Ridge(alpha=hp.Float("alpha", 1e-3, 1e3, sampling="log"))

        tuner = SklearnTuner(aiotune.oracles.RandomSearchOracle(max_trials=50), build)
        result = asyncio.run(tuner.search(X, y))
        (model,) = tuner.get_best_models()

    No estimator is written to disk, since only a pickle could hold one.
    :meth:`get_best_models` fits the best configurations again, on all data.

    Args:
        oracle: Proposes configurations. An oracle without an objective gets
            ``Objective("score", "max")``; another objective must be one of the metrics.
        hypermodel: A function ``build(hp)`` that returns an estimator, or a
            :class:`~aiotune.HyperModel`, whose ``fit(hp, estimator, X, y, ...)`` is used.
        scoring: A scorer's name, or a function ``f(estimator, X, y)`` that may take
            ``sample_weight``; default the estimator's own ``score``. More is better, unless
            the oracle has ``Objective("score", "min")`` and this is a function.
        metrics: Functions ``f(y, prediction)`` that may take ``sample_weight``: one, or a list.
            Each is recorded under its ``__name__``.
        cv: A splitter, a number of folds, or a list of pairs of positions in the data (train,
            test); default 5 folds, whatever the estimator, as in KerasTuner. Folds of a number are
            shuffled, alike in every trial, and divide no group where :meth:`search` is given groups;
            without groups a number keeps the classes of a classifier in proportion (stratified), as
            scikit-learn does.
        **kwargs: Arguments of :class:`BaseTuner`. ``devices`` defaults to ``[]``, no GPU.

    Raises:
        ConfigurationError: An argument is wrong, or not known, or the trials will not
            measure the objective.
        MissingExtra: scikit-learn is not installed.
    """

    preloads = ("sklearn.metrics", "sklearn.model_selection", "sklearn.pipeline")
    """What every worker would import; done once, before they are forked."""

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any,
        scoring: Callable[..., Any] | str | None = None,
        metrics: Any = None,
        cv: Any = None,
        **kwargs: Any,
    ) -> None:
        _require_sklearn()
        if scoring is not None and not isinstance(scoring, str) and not callable(scoring):
            raise ConfigurationError(
                "scoring must be the name of a scorer or a function f(estimator, X, y), but is "
                f"{shown(scoring)} of type {type(scoring).__name__}."
            )
        super().__init__(oracle, hypermodel, **{"devices": [], **kwargs})
        self.scoring = scoring
        self.metrics = _by_name(metrics)
        self.cv = _checked_folds(cv)
        self._rows: Rows | None = None
        if isinstance(oracle.objective, DefaultObjective):
            oracle.set_default_objective(Objective(SCORE, "max"))
        self._check_objective(oracle.objective)

    def _check_objective(self, objective: Objective) -> None:
        measured = [SCORE, *self.metrics]
        unknown = [name for name in objective.names if name not in measured]
        if unknown:
            raise ConfigurationError(
                f"The objective {', '.join(map(repr, unknown))} is not what a trial of SklearnTuner "
                f"measures: {', '.join(measured)}.",
                hint='Leave the objective out for Objective("score", "max"), or pass metrics=[...] '
                "with a function of that name.",
            )
        directions = {d["name"]: d["direction"] for d in objective.to_dicts()}
        if directions.get(SCORE) == "min" and not callable(self.scoring):
            raise ConfigurationError(
                'Objective("score", "min") would look for the worst estimator: the scores of '
                "scikit-learn are the greater the better, those of losses are negative.",
                hint='Write Objective("score", "max"), or leave the objective out.',
            )

    # ── the search ─────────────────────────────────────────────────────────

    async def search(
        self,
        X: Any,  # noqa: N803 - scikit-learn's name for it, here and below
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        verbose: int | str = "auto",
    ) -> SearchResult:
        """Search until the budget is spent.

        Each of the data may be an array, a pandas or polars frame or series, or a list; ``X``
        may be sparse as well. Or a function that returns it, which is called in the workers.

        Args:
            X: Features, one entry a row.
            y: Targets, one a row; ``None`` for estimators that need none.
            sample_weight: A weight a row, by position. Used in fits that take it, in scores
                and in metrics.
            groups: A group a row, for the splitter.
            verbose: 0 silences the progress display.

        Returns:
            What was found.

        Raises:
            FatalError: A trial raised it (or a subclass); no process is left.
            SearchAborted: ``max_consecutive_failed_trials`` failed in a row.
            ConfigurationError: The search cannot begin; nothing was changed.
            ProjectError: The project directory is held, damaged or of another search.
        """
        from aiotune.worker._sklearn import Rows

        self._rows = Rows(X, y, sample_weight, groups)
        return await super().search(X, y, sample_weight, groups, verbose=verbose)

    def run_trial(
        self,
        trial: Trial,
        X: Any,  # noqa: N803
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> list[dict[str, float]]:
        """Cross-validate one configuration; runs in a worker process.

        Returns:
            The metrics of each fold.
        """
        from aiotune.worker._sklearn import Rows, run_sklearn_trial

        return run_sklearn_trial(self.recipe(trial), Rows(X, y, sample_weight, groups))

    def recipe(self, trial: Trial) -> Recipe:
        """Return how the estimators of a trial are made and judged."""
        from aiotune.worker._sklearn import Recipe

        hypermodel, hp = self.hypermodel, trial.hyperparameters
        assert hypermodel is not None
        return Recipe(
            build=functools.partial(hypermodel.build, hp),
            fit=functools.partial(hypermodel.fit, hp),
            scoring=self.scoring,
            metrics=self.metrics,
            cv=self.cv,
        )

    # ── results ────────────────────────────────────────────────────────────

    def load_model(self, trial: Trial) -> Any:
        """Return a trial's estimator, fitted in this process on all data of the last search.

        The same trial on the same data gives the same estimator, as far as its randomness
        comes from numpy's global generator or a fixed ``random_state``.

        Raises:
            ConfigurationError: This tuner has not searched, so it has no data. Use :meth:`refit`.
        """
        if self._rows is None:
            raise ConfigurationError(
                f"The estimator of trial {trial.trial_id} cannot be made without data: no estimator "
                "is kept on disk, and this tuner has not searched yet.",
                hint="Call tuner.refit(X, y), or search(X, y) again: that returns at once if the "
                "budget is spent.",
            )
        return self._refit(trial, self._rows)

    def refit(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        sample_weight: Any = None,
        *,
        trial: Trial | None = None,
    ) -> Any:
        """Return a new estimator with the values of a trial, fitted in this process.

        Works without a search, on a project that is there.

        Args:
            X: Features, one entry a row.
            y: Targets, one a row.
            sample_weight: A weight a row.
            trial: Which trial; default the best one.

        Raises:
            ConfigurationError: No trial is completed.
        """
        from aiotune.worker._sklearn import Rows

        if trial is None:
            best = self._loaded_oracle().get_best_trials(1)
            if not best:
                raise ConfigurationError(
                    f"There is nothing to refit: no trial of {self.project_dir} is completed. Search first, or "
                    "pass a trial."
                )
            trial = best[0]
        return self._refit(trial, Rows(X, y, sample_weight))

    def _refit(self, trial: Trial, rows: Rows) -> Any:
        from aiotune.worker._sklearn import refitted

        seed = (self._loaded_oracle().seed + trial.index) % 2**32  # what numpy takes
        return refitted(self.recipe(trial), rows, seed=seed)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs; the data travels as the arguments of ``search()``."""
        return {**super().__getstate__(), "_rows": None}


def _require_sklearn() -> None:
    if importlib.util.find_spec("sklearn") is None:
        raise MissingExtra(
            "SklearnTuner needs scikit-learn, which is not installed.",
            hint="Run: pip install 'aiotune[sklearn]'.",
            extra="sklearn",
        )


def _checked_folds(cv: Any) -> Any:
    whole = isinstance(cv, numbers.Integral) and not isinstance(cv, bool)
    if whole and cv < 2:  # noqa: PLR2004 - train and test
        raise ConfigurationError(f"cv must be at least 2 folds, but is {cv}.")
    is_splitter = callable(getattr(cv, "split", None)) or isinstance(cv, Iterable)
    if cv is None or whole:
        return None if cv is None else int(cv)
    if isinstance(cv, (str, bytes, bool)) or not is_splitter:
        raise ConfigurationError(
            f"cv must be a number of folds, a splitter or a list of (train, test) positions, but is "
            f"{shown(cv)} of type {type(cv).__name__}."
        )
    return cv


def _by_name(metrics: Any) -> Mapping[str, Callable[..., Any]]:
    listed = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    named: dict[str, Callable[..., Any]] = {}
    for metric in listed if metrics is not None else ():
        name = _name_of(metric)
        if name is None:
            raise ConfigurationError(
                "metrics must be a function f(y, prediction) with a __name__, or a list of such, "
                f"but {shown(metric)} is a {type(metric).__name__}."
            )
        if name == SCORE or name in named:
            raise ConfigurationError(
                f"A metric would be recorded as {name!r}, and another one is already. Give it another "
                "__name__, by defining a function around it."
            )
        named[name] = metric
    return named


def _name_of(metric: Any) -> str | None:
    inner = metric.func if isinstance(metric, functools.partial) else metric
    name = getattr(inner, "__name__", None)
    return name if callable(metric) and isinstance(name, str) else None
