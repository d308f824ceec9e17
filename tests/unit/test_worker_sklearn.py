"""Cross-validation in a worker: forms of data, weights, groups, scores, seeds."""

# ruff: noqa: TID253 - the estimators are what is tested
# ruff: noqa: NPY002 - numpy's old global generator is what estimators draw from

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesRegressor, StackingRegressor, VotingRegressor
from sklearn.feature_selection import RFE
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import make_scorer, max_error, mean_absolute_error
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aiotune.errors import FatalTypeError, FatalValueError
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.testing._processes import attempt_order
from aiotune.wire import FromWorker, Report, RunAttempt
from aiotune.worker._context import AttemptContext, current_attempt
from aiotune.worker._sklearn import Recipe, Rows, cross_validate, refitted, run_sklearn_trial

X = np.random.default_rng(0).normal(size=(30, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * np.random.default_rng(1).normal(size=30)


def context(index: int = 0) -> AttemptContext:
    order = attempt_order(Path("unused"), index=index).order
    assert isinstance(order, RunAttempt)
    return AttemptContext(
        order=order,
        objective=Objective("score", "max"),
        hyperparameters=HyperParameters(),
        say=lambda message: None,
        known=0,
    )


def recipe(
    build: Callable[[], Any] = Ridge,
    scoring: Any = None,
    metrics: Mapping[str, Callable[..., Any]] | None = None,
    cv: Any = None,
) -> Recipe:
    def fit(model: Any, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, **kwargs)

    return Recipe(build, fit, scoring, metrics or {}, cv)


def folds(rows: Rows, *, index: int = 0, **how: Any) -> list[dict[str, float]]:
    return list(cross_validate(recipe(**how), rows, context(index)))


class Recorder(LinearRegression):  # type: ignore[misc]
    """Remembers what it was fitted on."""

    seen: list[tuple[Any, Any, Any]]

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
        self.seen = [(X, y, sample_weight)]
        return super().fit(X, y, sample_weight)


def test_the_default_is_five_shuffled_folds_and_the_estimators_own_score() -> None:
    """The scores are those that KFold(5, shuffle=True, random_state=1) gives by hand."""
    from sklearn.model_selection import KFold

    expected = []
    for train, test in KFold(5, shuffle=True, random_state=1).split(X):
        expected.append(Ridge().fit(X[train], Y[train]).score(X[test], Y[test]))

    found = folds(Rows(X, Y))

    assert [list(fold) for fold in found] == [["score"]] * 5
    assert expected == pytest.approx([fold["score"] for fold in found])


@pytest.mark.parametrize(
    "rows",
    [
        Rows(X.tolist(), Y.tolist()),
        Rows(pd.DataFrame(X, index=[f"row{i}" for i in range(30)]), pd.Series(Y)),
        Rows(pd.DataFrame(X), pd.Series(Y, index=np.arange(30)[::-1])),
        Rows(scipy.sparse.coo_matrix(X), Y),
        Rows(scipy.sparse.csc_array(X), pd.Series(Y)),
        Rows(lambda: X, lambda: Y),
    ],
    ids=["lists", "frame", "index in reverse", "sparse matrix", "sparse array", "functions"],
)
def test_every_form_of_data_gives_the_same_scores(rows: Rows) -> None:
    """Lists, frames with any index, sparse matrices, functions that return the data."""
    expected = [fold["score"] for fold in folds(Rows(X, Y))]

    assert expected == pytest.approx([fold["score"] for fold in folds(rows)], rel=1e-3)


def test_weights_go_by_position_into_fit_score_and_metrics() -> None:
    """A weight of 0 removes a row everywhere, whatever the index of the Series says."""
    weights = pd.Series([0.0] * 3 + [1.0] * 27, index=np.arange(30)[::-1])
    spoiled = Y.copy()
    spoiled[:3] = 1e6
    split = [(np.r_[0:2, 3:20], np.r_[2, 20:30])]

    (fold,) = folds(
        Rows(X, spoiled, weights), metrics={"mae": mean_absolute_error}, cv=split, build=Recorder
    )

    assert fold["score"] > 0.9
    assert fold["mae"] < 1


@pytest.mark.parametrize(
    "build",
    [
        lambda: make_pipeline(StandardScaler(), LinearRegression()),
        lambda: make_pipeline(make_pipeline(StandardScaler(), LinearRegression())),
    ],
    ids=["pipeline", "pipeline in a pipeline"],
)
def test_weights_reach_the_last_step_of_a_pipeline(build: Callable[[], Any]) -> None:
    """Rows of weight 0 do not count in a pipeline's fit either."""
    weights = [0.0] * 3 + [1.0] * 27
    spoiled = Y.copy()
    spoiled[:3] = 1e6

    (fold,) = folds(Rows(X, spoiled, weights), build=build, cv=[(np.arange(20), np.arange(20, 30))])

    assert fold["score"] > 0.9


def test_an_estimator_that_takes_no_weights_is_fitted_without_and_says_so() -> None:
    """Nearest neighbours have no weights in fit; their score has."""
    with pytest.warns(UserWarning, match=r"KNeighborsRegressor.fit\(\) takes no sample_weight"):
        found = folds(Rows(X, Y, np.ones(30)), build=KNeighborsRegressor, cv=2)

    assert len(found) == 2


def test_groups_are_kept_whole() -> None:
    """By default, and with a number of folds, no group is both fitted and scored on."""
    groups = np.repeat(np.arange(6), 5)
    seen: list[tuple[set[float], set[float]]] = []

    def score(model: Any, features: Any, y: Any) -> float:
        seen.append((set(model.seen[0][0][:, 0]), set(features[:, 0])))
        return 0.0

    of_row = np.c_[groups, X]
    for cv, count in ((None, 5), (3, 3), (LeaveOneGroupOut(), 6)):
        seen.clear()
        found = folds(Rows(of_row, Y, None, groups), build=Recorder, scoring=score, cv=cv)
        assert len(found) == count
        assert all(not fitted & scored for fitted, scored in seen)


def test_scoring_is_a_name_a_scorer_or_a_function() -> None:
    """All three name the same number; a function may do without weights."""
    named = folds(Rows(X, Y), scoring="neg_mean_absolute_error")
    scorer = folds(Rows(X, Y), scoring=make_scorer(mean_absolute_error, greater_is_better=False))
    function = folds(
        Rows(X, Y), scoring=lambda model, x, y: -mean_absolute_error(y, model.predict(x))
    )

    assert named == scorer == function
    assert named[0]["score"] < 0


def test_a_scorer_gets_the_weights() -> None:
    """A scorer's sum over rows of weight 0 is not there."""
    weights = np.r_[np.ones(29), 0.0]
    y = np.r_[Y[:29], 1e9]
    split = [(np.arange(20), np.arange(20, 30))]

    (named,) = folds(Rows(X, y, weights), scoring="neg_mean_absolute_error", cv=split)

    assert named["score"] > -10


def test_metrics_that_take_no_weights_are_called_without() -> None:
    """max_error() knows no sample_weight; it is recorded beside the score."""
    found = folds(Rows(X, Y, np.ones(30)), metrics={"max_error": max_error}, cv=3)

    assert [sorted(fold) for fold in found] == [["max_error", "score"]] * 3


def test_scorers_whose_function_takes_no_weights_are_called_without() -> None:
    """make_scorer() would hand them on to any function; the fit has them."""
    for function in (max_error, lambda y, p: 2 * max_error(y, p)):
        scorer = make_scorer(function, greater_is_better=False)
        assert folds(Rows(X, Y, np.ones(30)), scoring=scorer) == folds(Rows(X, Y), scoring=scorer)


@pytest.mark.parametrize(
    "build",
    [
        lambda: TransformedTargetRegressor(Ridge()),
        lambda: TransformedTargetRegressor(make_pipeline(StandardScaler(), Ridge())),
        TransformedTargetRegressor,
        lambda: VotingRegressor([("a", Ridge()), ("b", LinearRegression())]),
        lambda: StackingRegressor([("a", Ridge())], Ridge(), cv=2),
        lambda: GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2),
        lambda: RFE(Ridge(), n_features_to_select=3),
    ],
)
@pytest.mark.filterwarnings("error")
def test_weights_reach_the_estimators_within_an_estimator(build: Callable[[], Any]) -> None:
    """A row of weight 0 changes no coefficient, so the 1e6 there is in no prediction."""
    weights = np.r_[0.0, np.ones(29)]
    y = np.r_[1e6, Y[1:]]
    split = [(np.arange(20), np.arange(20, 30))]

    (found,) = folds(
        Rows(X, y, weights),
        build=build,
        metrics={"worst": lambda y, p: np.abs(y - p).max()},
        cv=split,
    )

    assert found["worst"] < 10


@pytest.mark.filterwarnings("error")
def test_an_estimator_around_one_that_takes_no_weights_is_fitted_without() -> None:
    """It would refuse them; so each trial would fail."""
    with pytest.warns(UserWarning, match="VotingRegressor.fit.. takes no sample_weight"):
        found = folds(
            Rows(X, Y, np.ones(30)),
            build=lambda: VotingRegressor([("a", Ridge()), ("b", KNeighborsRegressor())]),
            cv=3,
        )

    assert len(found) == 3


@pytest.mark.parametrize("several", [{"a": 1.0}, [0.5, 0.5], None])
def test_a_score_that_is_no_number_ends_the_search(several: Any) -> None:
    """Each trial would return the same."""
    with pytest.raises(FatalTypeError, match=r"of a fold is .*not a number"):
        folds(Rows(X, Y), scoring=lambda model, x, y: several)

    with pytest.raises(FatalTypeError, match=r"'own' of a fold is .*not a number"):
        folds(Rows(X, Y), metrics={"own": lambda y, p: several})


def test_an_unknown_scorer_ends_the_search() -> None:
    """The sentence says where the names are listed."""
    with pytest.raises(FatalValueError, match=r"no scorer named 'acuracy'.*get_scorer_names"):
        folds(Rows(X, Y), scoring="acuracy")


def test_parts_of_different_length_end_the_search() -> None:
    """What all trials would stumble over is told once."""
    with pytest.raises(FatalValueError, match=r"one entry a row.*\[30, 29\]"):
        folds(Rows(X, Y[:29]))


@pytest.mark.parametrize("built", [None, Ridge, 3.0])
def test_what_is_no_estimator_ends_the_search(built: Any) -> None:
    """Also a class in place of its instance."""
    with pytest.raises(FatalTypeError, match="scikit-learn estimator"):
        folds(Rows(X, Y), build=lambda: built)


def test_an_estimator_without_targets_is_scored_too() -> None:
    """A density needs no y."""
    from sklearn.neighbors import KernelDensity

    found = folds(Rows(X), build=KernelDensity, cv=ShuffleSplit(2, random_state=0))

    assert [list(fold) for fold in found] == [["score"]] * 2


def test_the_same_trial_is_fitted_alike_and_another_is_not() -> None:
    """What estimators draw from numpy's generator depends on the trial, not on what ran before."""

    def random_guesses(index: int) -> list[dict[str, float]]:
        np.random.random(index + 3)
        labels = np.arange(30) % 7
        return folds(
            Rows(X, labels), index=index, build=lambda: DummyClassifier(strategy="uniform")
        )

    first, again, other = random_guesses(0), random_guesses(0), random_guesses(1)

    assert first == again
    assert first != other


def test_a_refit_is_repeatable_and_leaves_the_generators_alone() -> None:
    """The program's own random numbers are what they would have been."""
    trees = recipe(build=lambda: ExtraTreesRegressor(n_estimators=3))
    random.seed(5)
    np.random.seed(5)
    expected = (random.random(), np.random.random())
    random.seed(5)
    np.random.seed(5)

    models = [refitted(trees, Rows(X, Y), seed=seed) for seed in (1, 1, 2)]

    assert expected == (random.random(), np.random.random())
    one, same, other = (model.predict(X[:5] + 0.3) for model in models)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_pruner_sees_the_means_so_far_and_may_end_the_trial() -> None:
    """A step a fold; after the fold in which it was asked to, the trial ends with what it has."""
    told: list[FromWorker] = []
    attempt = context()
    attempt.say = told.append
    attempt.asked_to_finish = lambda: "hopeless" if len(told) == 3 else None
    token = current_attempt.set(attempt)
    try:
        found = run_sklearn_trial(recipe(), Rows(X, Y))
    finally:
        current_attempt.reset(token)

    expected = [fold["score"] for fold in folds(Rows(X, Y))][:3]
    assert expected == pytest.approx([fold["score"] for fold in found])
    reports = [message for message in told if isinstance(message, Report)]
    assert [(r.step, r.execution) for r in reports] == [(0, 0), (1, 0), (2, 0)]
    means = np.cumsum(expected) / [1, 2, 3]
    assert list(means) == pytest.approx([r.metrics["score"] for r in reports])


def test_a_trial_outside_a_search_is_refused() -> None:
    """There is no seed and nobody to report to."""
    with pytest.raises(FatalTypeError, match=r"outside a search.*refit\(X, y\)"):
        run_sklearn_trial(recipe(), Rows(X, Y))


def test_a_number_of_folds_keeps_the_classes_in_proportion() -> None:
    """A number stratifies the classes of a classifier, as scikit-learn does; the default does not."""
    y = np.repeat([0, 1], [25, 5])

    def share(_estimator: Any, _x: Any, labels: Any) -> float:
        return float(np.mean(labels))

    def shares(build: Callable[[], Any], cv: Any) -> set[float]:
        return {fold["score"] for fold in folds(Rows(X, y), build=build, scoring=share, cv=cv)}

    assert shares(LogisticRegression, 5) == {1 / 6}
    assert len(shares(LogisticRegression, None)) > 1
    assert len(shares(Ridge, 5)) > 1
