"""Searches over scikit-learn estimators, each trial in a process."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import aiotune
from aiotune import Objective
from aiotune.errors import ConfigurationError, FatalTypeError, MissingExtra
from aiotune.oracles import GridSearchOracle, RandomSearchOracle
from aiotune.sklearn_tuner import SklearnTuner

X = np.random.default_rng(0).normal(size=(60, 4))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)


def build(hp: aiotune.HyperParameters) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    kind = hp.Choice("kind", ["linear", "forest"])
    with hp.conditional_scope("kind", ["linear"]):
        if kind == "linear":
            return LogisticRegression(C=hp.Float("C", 1e-3, 1e3, step=1e3, sampling="log"))
    with hp.conditional_scope("kind", ["forest"]):
        return RandomForestClassifier(n_estimators=hp.Int("trees", 2, 8, step=6))


def ridge(hp: aiotune.HyperParameters) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(hp.Float("alpha", 0.1, 10.0, sampling="log"))


def error_rate(y: Any, predicted: Any) -> float:
    return float(np.mean(np.asarray(y) != np.asarray(predicted)))


def tuner(path: Path, hypermodel: Any = build, oracle: Any = None, **options: Any) -> SklearnTuner:
    return SklearnTuner(
        oracle if oracle is not None else GridSearchOracle(seed=3),
        hypermodel,
        directory=path,
        project_name="p",
        **options,
    )


def test_a_search_scores_each_configuration_by_cross_validation(tmp_path: Path) -> None:
    """The grid with its branches; means over folds as result, folds as executions."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold, cross_val_score

    searching = tuner(tmp_path, metrics=[error_rate], max_parallel_trials=2)

    result = asyncio.run(searching.search(pd.DataFrame(X), pd.Series(Y), verbose=0))

    assert result.counts == {"COMPLETED": 5}
    assert result.objective == Objective("score", "max")
    linear = next(t for t in result.trials if t.values.get("C") == 1.0)
    by_hand = cross_val_score(
        LogisticRegression(C=1.0), X, Y, cv=KFold(5, shuffle=True, random_state=1)
    )
    assert [fold["score"] for fold in linear.executions] == pytest.approx(list(by_hand))
    assert linear.score == pytest.approx(by_hand.mean())
    assert linear.metrics.get_last_value("error_rate") == pytest.approx(1 - by_hand.mean())
    curve = [metrics["score"] for _, _, metrics in linear.history]
    assert curve == pytest.approx(list(np.cumsum(by_hand) / np.arange(1, 6)))
    assert result.best_score == max(t.score for t in result.trials if t.score is not None)
    assert not list(result.project_dir.rglob("*.pickle"))


def test_the_best_models_are_fitted_on_all_data(tmp_path: Path) -> None:
    """They are what a fit by hand gives; the same again; in a new program by refit()."""
    from sklearn.linear_model import Ridge

    targets = X @ [1.0, 2.0, 3.0, 4.0]
    oracle = RandomSearchOracle(max_trials=2, seed=0)
    searching = tuner(tmp_path, ridge, oracle, executor="inline")
    asyncio.run(searching.search(X, targets, verbose=0))

    best, second = searching.get_best_models(2)

    alphas = [hp.get("alpha") for hp in searching.get_best_hyperparameters(2)]
    by_hand = [Ridge(alpha).fit(X, targets).coef_ for alpha in alphas]
    assert np.allclose(best.coef_, by_hand[0])
    assert np.allclose(second.coef_, by_hand[1])
    later = tuner(tmp_path, ridge, RandomSearchOracle(max_trials=2, seed=0))
    with pytest.raises(ConfigurationError, match=r"without data.*tuner.refit\(X, y\)"):
        later.get_best_models()
    assert np.allclose(later.refit(X, targets).coef_, by_hand[0])


def test_a_forest_is_refitted_alike(tmp_path: Path) -> None:
    """Its randomness comes from the trial, so two looks at the best model see one model."""
    oracle = RandomSearchOracle(max_trials=3, seed=1)
    searching = tuner(tmp_path, oracle=oracle, executor="inline")
    result = asyncio.run(searching.search(X, Y, verbose=0))
    forest = next(t for t in result.trials if "trees" in t.values)

    first, again = searching.load_model(forest), searching.load_model(forest)

    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))


def test_a_search_is_repeatable_wherever_its_trials_run(tmp_path: Path) -> None:
    """Scores of random forests do not depend on the process, nor on what runs beside them."""
    alone = tuner(tmp_path / "alone", executor="inline")
    together = tuner(tmp_path / "together", max_parallel_trials=2)

    scores = [
        {t.trial_id: t.score for t in asyncio.run(searching.search(X, Y, verbose=0)).trials}
        for searching in (alone, together)
    ]

    assert scores[0] == scores[1]


def test_keras_is_imported_nowhere(tmp_path: Path) -> None:
    """Neither the nursery nor a worker of such a search pays for a back end."""

    class Looking(SklearnTuner):
        def run_trial(self, trial: Any, *data: Any) -> Any:
            assert "keras" not in sys.modules
            assert "sklearn.model_selection" in sys.modules  # imported ahead of the fork
            assert "sklearn.linear_model" in sys.modules
            return super().run_trial(trial, *data)

    searching = Looking(
        RandomSearchOracle(max_trials=1), ridge, directory=tmp_path, project_name="p"
    )
    result = asyncio.run(searching.search(X, Y, verbose=0))

    assert result.counts == {"COMPLETED": 1}


def test_a_hypermodels_own_fit_is_used(tmp_path: Path) -> None:
    """HyperModel.fit gets the estimator and the fold's data, and may ask for hyperparameters."""

    class Scaled(aiotune.HyperModel):
        def build(self, hp: aiotune.HyperParameters) -> Any:
            return ridge(hp)

        def fit(self, hp: aiotune.HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
            features, y = args
            return model.fit(features * hp.Float("factor", 0.5, 2.0), y, **kwargs)

    oracle = RandomSearchOracle(max_trials=2, seed=0)
    result = asyncio.run(
        tuner(tmp_path, Scaled(), oracle, executor="inline").search(X, X[:, 0], verbose=0)
    )

    assert [sorted(t.values) for t in result.trials] == [["alpha", "factor"]] * 2


def test_what_is_no_estimator_ends_the_search(tmp_path: Path) -> None:
    """One sentence instead of a hundred failed trials."""
    with pytest.raises(FatalTypeError, match=r"scikit-learn estimator.*'not a model'"):
        asyncio.run(tuner(tmp_path, lambda hp: "not a model").search(X, Y, verbose=0))


def test_a_failing_estimator_fails_its_trial_alone(tmp_path: Path) -> None:
    """An impossible value is data."""

    def sometimes(hp: aiotune.HyperParameters) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(hp.Choice("neighbours", [1, 1000]))

    result = asyncio.run(tuner(tmp_path, sometimes, executor="inline").search(X, Y, verbose=0))

    assert [str(t.status) for t in result.trials] == ["COMPLETED", "FAILED"]
    assert "n_neighbors" in str(result.trials[1].message)


def test_a_metric_can_be_the_objective(tmp_path: Path) -> None:
    """Whatever the trials measure, in the direction that is told."""
    oracle = GridSearchOracle(objective=Objective("error_rate", "min"), seed=3)
    searching = tuner(tmp_path, oracle=oracle, metrics=error_rate, executor="inline")
    result = asyncio.run(searching.search(X, Y, verbose=0))

    assert result.best_score == min(t.score for t in result.trials if t.score is not None)


@pytest.mark.parametrize(
    ("objective", "options", "words"),
    [
        ("val_accuracy", {}, "'val_accuracy' is not what a trial.*measures: score."),
        (Objective("score", "min"), {}, "worst estimator"),
        (Objective("score", "min"), {"scoring": "r2"}, "worst estimator"),
        (None, {"scoring": 3}, "scoring must be the name of a scorer"),
        (None, {"metrics": ["accuracy"]}, "metrics must be a function.*'accuracy' is a str"),
        (None, {"metrics": [error_rate, error_rate]}, "recorded as 'error_rate'"),
        (None, {"folds": 3}, r"Unrecognized arguments \['folds'\] for SklearnTuner"),
        (None, {"hypermodel": None}, "hypermodel=None"),
    ],
)
def test_a_wrong_argument_is_refused_in_a_sentence(
    tmp_path: Path, objective: Any, options: dict[str, Any], words: str
) -> None:
    """At construction, before anything is on disk."""
    oracle = RandomSearchOracle(objective=objective, max_trials=1)

    with pytest.raises(ConfigurationError, match=words):
        tuner(tmp_path, **{"oracle": oracle, **options})

    assert list(tmp_path.iterdir()) == []


def test_a_loss_of_ones_own_may_be_minimised(tmp_path: Path) -> None:
    """A scoring function says itself which way is better."""

    def loss(model: Any, features: Any, y: Any) -> float:
        return error_rate(y, model.predict(features))

    oracle = GridSearchOracle(objective=Objective("score", "min"), seed=3)
    searching = tuner(tmp_path, oracle=oracle, scoring=loss, executor="inline")
    result = asyncio.run(searching.search(X, Y, verbose=0))

    assert result.best_score == min(t.score for t in result.trials if t.score is not None)


def test_without_scikit_learn_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingExtra, match=r"pip install 'aiotune\[sklearn\]'"):
        tuner(tmp_path)
