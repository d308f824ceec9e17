"""Computes the tables of quality.py: every configuration of two small tasks, really fitted.

Digits of scikit-learn, 1,000 for training and 797 for validation; the loss is
the share of the 797 that is classified wrongly. ``quality_tables.py FOLDER``
writes ``svm_digits.json`` (845 fits) and ``mlp_digits.json`` (1,152 fits); what
is there already is left.
"""

from __future__ import annotations

import itertools
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quality_problems import MLP_AXES, SVM_AXES, table_key

__all__ = ()


def _svm(values: Mapping[str, Any]) -> Any:
    from sklearn.svm import SVC

    kernel = values["kernel"]
    return SVC(
        C=10 ** (values["log_c"] / 2 - 2),
        gamma=10 ** (values["log_gamma"] / 2 - 6),
        kernel="poly" if kernel.startswith("poly") else kernel,
        degree=2 if kernel == "poly2" else 3,
    )


def _mlp(values: Mapping[str, Any]) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        (8 * 2 ** values["log_units"],),
        activation=values["activation"],
        alpha=10 ** (values["log_alpha"] - 5),
        batch_size=16 * 4 ** values["log_batch"],
        learning_rate_init=10 ** (values["log_rate"] / 2 - 4.5),
        max_iter=9,
        random_state=0,
    )


def _fit_all(axes: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Any]) -> dict[str, float]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x / 16, y, train_size=1000, random_state=0)
    losses = {}
    for chosen in itertools.product(*axes.values()):
        values = dict(zip(axes, chosen, strict=True))
        model = make(values).fit(train_x, train_y)
        losses[table_key(axes, values)] = round(1 - model.score(test_x, test_y), 6)
    return losses


def main(folder: Path) -> None:
    """Compute what is missing."""
    warnings.filterwarnings("ignore")  # few epochs are the point, so none converges
    folder.mkdir(parents=True, exist_ok=True)
    for name, axes, make in (("svm_digits", SVM_AXES, _svm), ("mlp_digits", MLP_AXES, _mlp)):
        path = folder / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(_fit_all(axes, make)))
        losses = sorted(json.loads(path.read_text()).values())
        print(name, len(losses), "losses from", losses[0], "to", losses[-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
