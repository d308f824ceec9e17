"""Cross-validates scikit-learn estimators: what a trial of ``SklearnTuner`` does in its worker."""

from __future__ import annotations

import contextlib
import inspect
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiotune._printable import printable, shown
from aiotune.errors import FatalTypeError, FatalValueError
from aiotune.worker._context import AttemptContext, current_attempt

__all__ = ("Recipe", "Rows", "cross_validate", "refitted", "run_sklearn_trial")

Scoring = Callable[..., Any] | str | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How estimators are made and judged.

    Attributes:
        build: Returns a new estimator, not fitted.
        fit: ``f(estimator, X, y)``, perhaps with the weights as a keyword, fits one in place.
        scoring: A function ``f(estimator, X, y)``, perhaps with ``sample_weight``; the name
            of a scorer; or ``None`` for the estimator's own ``score``.
        metrics: Functions ``f(y, prediction)``, perhaps with ``sample_weight``, by name.
        cv: A splitter, a number of folds, or a list of (train, test) positions. Folds are
            shuffled, the same in all trials; where groups are given, no fold divides one. A
            number stratifies the classes of a classifier. ``None``: five folds, never stratified.
    """

    build: Callable[[], Any]
    fit: Callable[..., Any]
    scoring: Scoring
    metrics: Mapping[str, Callable[..., Any]]
    cv: Any


@dataclass(frozen=True, slots=True)
class Rows:
    """Data whose parts have one entry a row.

    Attributes:
        X: Features: an array, a DataFrame, a sparse matrix or a list.
        y: Targets; ``None`` for estimators that need none.
        sample_weight: A weight a row, or ``None``. The index of a Series means nothing;
            only its order does.
        groups: A group a row, or ``None``.
    """

    X: Any
    y: Any = None
    sample_weight: Any = None
    groups: Any = None

    def checked(self) -> Rows:
        """Return the same in forms that can be indexed by row.

        Raises:
            FatalValueError: The parts are not of one length.
        """
        from sklearn.utils import indexable

        parts = [_called(part) for part in (self.X, self.y, self.sample_weight, self.groups)]
        try:
            return Rows(*indexable(*parts))
        except ValueError as error:
            raise FatalValueError(
                "X, y, sample_weight and groups must have one entry a row, so all be of one length: "
                f"{printable(error, 300).rstrip('.')}."
            ) from error

    def at(self, positions: Any) -> Rows:
        """Return the rows at positions from 0."""
        return Rows(*(_take(p, positions) for p in (self.X, self.y, self.sample_weight)))


def _called(part: Any) -> Any:
    """Call a function that stands for data which should not travel."""
    return part() if inspect.isfunction(part) else part


def _take(part: Any, positions: Any) -> Any:
    if part is None:
        return None
    if hasattr(part, "iloc"):
        return part.iloc[positions]
    if isinstance(part, (list, tuple)):
        return [part[position] for position in positions]
    return part[positions]


def run_sklearn_trial(recipe: Recipe, rows: Rows) -> list[dict[str, float]]:
    """Cross-validate the estimator of the running attempt.

    After each fold the means so far are reported, as a step of a learning curve, so that
    a pruner can spare a hopeless configuration the rest.

    Returns:
        The metrics of each fold that was needed.

    Raises:
        FatalTypeError: There is no attempt, or what was built is no estimator.
        FatalValueError: As :func:`cross_validate`.
    """
    context = current_attempt.get()
    if context is None:
        raise FatalTypeError(
            "SklearnTuner.run_trial() was called outside a search. Call search(), or refit(X, y) "
            "for an estimator."
        )
    folds: list[dict[str, float]] = []
    for metrics in cross_validate(recipe, rows, context):
        context.announce()
        folds.append(metrics)
        means = {name: sum(f[name] for f in folds) / len(folds) for name in metrics}
        context.report(len(folds) - 1, means)
        if context.asked_to_finish() is not None:
            break
    return folds


def cross_validate(
    recipe: Recipe, rows: Rows, context: AttemptContext
) -> Iterator[dict[str, float]]:
    """Fit and score a new estimator on each fold.

    The generators of the standard library and of numpy are seeded before each fold, so that
    an estimator without a ``random_state`` is fitted alike whenever the trial is run again.

    Args:
        recipe: How.
        rows: All data.
        context: The attempt; gives the seeds and the number of threads.

    Yields:
        The metrics of each fold on its test rows, ``"score"`` first.

    Raises:
        FatalTypeError: What was built is no estimator.
        FatalValueError: The data's parts are not of one length or cannot be divided, or there
            is no such scorer.
    """
    rows = rows.checked()
    splitter = _splitter(recipe, rows)
    score = _scorer(recipe.scoring)
    with _threads(context.order.threads):
        for fold, (train, test) in enumerate(_folds(splitter, rows)):
            _seed(context.seed_for(fold))
            estimator = fitted(recipe, rows.at(train))
            yield _judged(estimator, rows.at(test), score, recipe.metrics)


def _folds(splitter: Any, rows: Rows) -> Iterator[tuple[Any, Any]]:
    """Give the positions of each fold.

    Raises:
        FatalValueError: The data cannot be divided so.
    """
    # A splitter sees the data and nothing of the trial: what it refuses, it refuses to all.
    try:
        folds = list(splitter.split(rows.X, rows.y, rows.groups))
    except ValueError as error:
        raise FatalValueError(
            f"The data cannot be divided into folds: {printable(error, 300).rstrip('.')}. Pass more data, or "
            "another cv=..."
        ) from error
    if not folds or any(len(train) == 0 or len(test) == 0 for train, test in folds):
        raise FatalValueError(
            f"The {len(folds)} folds of cv leave no rows to fit, or to test. Pass a cv that gives both."
        )
    yield from folds


def refitted(recipe: Recipe, rows: Rows, seed: int) -> Any:
    """Return a new estimator, fitted on all rows; leaves the generators as they were.

    Raises:
        FatalTypeError: What was built is no estimator.
        FatalValueError: The data's parts are not of one length.
    """
    import numpy as np

    rows = rows.checked()
    kept, kept_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - as in _seed
    try:
        _seed(seed)
        return fitted(recipe, rows)
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)  # noqa: NPY002


def fitted(recipe: Recipe, rows: Rows) -> Any:
    """Build an estimator, fit it, with the weights if it can use them, and return it.

    Raises:
        FatalTypeError: What was built is no estimator.
    """
    estimator = _estimator(recipe.build())
    keywords = {}
    if rows.sample_weight is not None:
        name = _weights_parameter(estimator)
        if name is None:
            warnings.warn(
                f"{type(estimator).__name__}.fit() takes no sample_weight, so it is fitted without. "
                "Scores and metrics are weighted.",
                stacklevel=2,
            )
        else:
            keywords[name] = rows.sample_weight
    recipe.fit(estimator, rows.X, rows.y, **keywords)
    return estimator


def _estimator(built: Any) -> Any:
    """Return what ``build`` returned if it can be fitted.

    Raises:
        FatalTypeError: It cannot.
    """
    if not callable(getattr(built, "fit", None)) or isinstance(built, type):
        raise FatalTypeError(
            "Expected the hypermodel's build() to return a scikit-learn estimator, an object with "
            f"fit(X, y), but it returned {shown(built)} of type {type(built).__name__}. Return the "
            "estimator itself, not yet fitted."
        )
    return built


def _weights_parameter(estimator: Any) -> str | None:
    """Return the keyword under which ``fit`` takes weights, ``None`` if it takes none."""
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline):
        return "sample_weight" if _takes(estimator.fit, "sample_weight") else _handed_on(estimator)
    if not estimator.steps:
        return None
    # A pipeline hands a parameter to the step whose name it begins with.
    name, last = estimator.steps[-1]
    inner = _weights_parameter(last) if hasattr(last, "fit") else None
    return None if inner is None else f"{name}__{inner}"


_AROUND_ONE = {
    "BaseSearchCV": "estimator",
    "RFE": "estimator",
    "TransformedTargetRegressor": "regressor",
}
_AROUND_SEVERAL = {"_BaseVoting", "_BaseStacking"}


def _handed_on(estimator: Any) -> str | None:
    """Return the keyword of weights that an estimator hands on to those in it, not naming it itself."""
    ancestors = type(estimator).__mro__
    kinds = {cls.__name__ for cls in ancestors if cls.__module__.startswith("sklearn.")}
    if kinds & _AROUND_SEVERAL:
        inner = [part for _, part in estimator.estimators if hasattr(part, "fit")]
        last = getattr(estimator, "final_estimator", None)
        inner += [] if last is None else [last]
        taken = {_weights_parameter(part) for part in inner}
        return "sample_weight" if taken == {"sample_weight"} else None
    # RFECV is an RFE, and refuses what its parent hands on.
    around = next((_AROUND_ONE[kind] for kind in kinds & _AROUND_ONE.keys()), None)
    if around is None or "RFECV" in kinds:
        return None
    wrapped = getattr(estimator, around)
    return "sample_weight" if wrapped is None else _weights_parameter(wrapped)


def _takes(function: Callable[..., Any], parameter: str) -> bool:
    try:
        return parameter in inspect.signature(function).parameters
    except ValueError:  # a function of an extension that does not tell
        return False


def _splitter(recipe: Recipe, rows: Rows) -> Any:
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, check_cv

    if recipe.cv is not None and not isinstance(recipe.cv, int):
        return check_cv(recipe.cv)
    count = 5 if recipe.cv is None else recipe.cv
    if rows.groups is not None:
        # KFold would ignore them, and rows of one group be in train and test.
        return GroupKFold(n_splits=count)
    stratified = recipe.cv is not None and _has_classes(recipe, rows)
    kind = StratifiedKFold if stratified else KFold
    return kind(n_splits=count, shuffle=True, random_state=1)


def _has_classes(recipe: Recipe, rows: Rows) -> bool:
    """Whether the estimator is a classifier, and each row is of one class."""
    from sklearn.base import is_classifier
    from sklearn.utils.multiclass import type_of_target

    if rows.y is None:
        return False
    try:
        if not is_classifier(_estimator(recipe.build())):
            return False
    except AttributeError:  # an estimator that has nothing of scikit-learn's
        return False
    return type_of_target(rows.y) in {"binary", "multiclass"}


def _scorer(scoring: Scoring) -> Callable[..., Any] | None:
    if not isinstance(scoring, str):
        return scoring
    from sklearn.metrics import get_scorer, get_scorer_names

    if scoring not in get_scorer_names():
        raise FatalValueError(
            f"scikit-learn has no scorer named {scoring!r}. sklearn.metrics.get_scorer_names() lists "
            "them; or pass a function f(estimator, X, y)."
        )
    named: Callable[..., Any] = get_scorer(scoring)
    return named


def _judged(
    estimator: Any,
    test: Rows,
    score: Callable[..., Any] | None,
    metrics: Mapping[str, Callable[..., Any]],
) -> dict[str, float]:
    if score is None:
        value = _weighted(estimator.score, test.sample_weight, test.X, test.y)
    else:
        value = _weighted(score, test.sample_weight, estimator, test.X, test.y)
    found = {"score": _number("score", value)}
    if metrics:
        predicted = estimator.predict(test.X)
        for name, metric in metrics.items():
            found[name] = _number(name, _weighted(metric, test.sample_weight, test.y, predicted))
    return found


def _number(name: str, value: Any) -> float:
    """Return what a scorer or a metric has returned, as a float.

    Raises:
        FatalTypeError: It is no number.
    """
    try:
        return float(value)
    except TypeError:
        raise FatalTypeError(
            f"The {shown(name)} of a fold is {shown(value)} of type {type(value).__name__}, not a number. "
            "Return one number: of several classes their average, and of several metrics one as "
            "scoring, the others as metrics=[...]."
        ) from None


def _weighted(function: Callable[..., Any], weights: Any, *args: Any) -> Any:
    """Call a function, with the weights if it can use them."""
    # A scorer takes weights, and hands them on to a function that may take none.
    measure = getattr(function, "_score_func", function)
    if _takes(measure, "sample_weight") or (weights is not None and _takes_any(measure)):
        return function(*args, sample_weight=weights)
    return function(*args)


def _takes_any(function: Callable[..., Any]) -> bool:
    """Whether a function takes any keyword; of scikit-learn's own estimators, which refuse most, RFE's."""
    owner = type(getattr(function, "__self__", None))
    if owner.__module__.startswith("sklearn.") and owner.__name__ != "RFE":
        return False
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return False
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _seed(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the generator that estimators without a random_state use


def _threads(count: int) -> contextlib.AbstractContextManager[Any]:
    """Bound the pools of OpenMP and BLAS; the trials beside this one have the other processors."""
    if count <= 0:
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    limits: contextlib.AbstractContextManager[Any] = threadpool_limits(limits=count)
    return limits
