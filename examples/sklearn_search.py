"""Tune scikit-learn: which estimator, and with which parameters, by cross-validation.

Run:      python examples/sklearn_search.py
You see:  the best of 12 configurations, and its accuracy on digits that no trial saw.
"""

import asyncio
from typing import Any

from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import aiotune


def build(hp: aiotune.HyperParameters) -> Any:
    """Return an estimator that was not fitted yet."""
    kind = hp.Choice("kind", ["svm", "trees"])
    with hp.conditional_scope("kind", ["svm"]):
        if kind == "svm":
            cost = hp.Float("C", 0.1, 100.0, sampling="log")
            return make_pipeline(StandardScaler(), SVC(C=cost))
    with hp.conditional_scope("kind", ["trees"]):
        return ExtraTreesClassifier(
            n_estimators=hp.Int("trees", 10, 100, step=10),
            max_features=hp.Float("max_features", 0.1, 1.0),
        )


x, y = load_digits(return_X_y=True)
x_search, x_test, y_search, y_test = train_test_split(x, y, test_size=0.5, random_state=0)

tuner = aiotune.SklearnTuner(
    aiotune.oracles.RandomSearchOracle(max_trials=12, seed=0),
    build,
    cv=StratifiedKFold(3),
    directory="runs",
    project_name="digits",
    overwrite=True,
)
result = asyncio.run(tuner.search(x_search, y_search))
print(result)

(best,) = tuner.get_best_models()  # fitted on all that was searched with
print(f"accuracy on {len(x_test)} digits that no trial saw: {best.score(x_test, y_test):.3f}")
