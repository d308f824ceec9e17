"""Metrics that Keras gives as arrays: F1Score has one element for each output."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.errors import FatalValueError
from aiotune.objective import Objective
from aiotune.testing._processes import attempt_order
from aiotune.wire import Done, FromWorker, Payload, Report, RunAttempt
from aiotune.worker._attempt import run_attempt
from aiotune.worker._results import normalize_result

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.random.default_rng(0).random((32, 4), dtype="float32")


def train(path: Path, *, outputs: int) -> tuple[Done, list[FromWorker]]:
    """Train a classifier with so many outputs for its F1 score; return its result and what it said."""

    def build(hp: aiotune.HyperParameters) -> Any:
        import keras

        model = keras.Sequential([keras.layers.Dense(outputs, activation="sigmoid")])
        model.compile("adam", "mse", metrics=[keras.metrics.F1Score(threshold=0.5)])
        return model

    objective = {"name": "val_f1_score", "direction": "max"}
    order = attempt_order(path, objective=[objective]).order
    assert isinstance(order, RunAttempt)
    y = (X[:, :outputs] > 0.5).astype("float32")
    data: dict[str, Any] = {"epochs": 2, "verbose": 0, "validation_data": (X, y)}
    said: list[FromWorker] = []
    payload = Payload(aiotune.RandomSearch(build, directory=path), (X, y), data)
    return run_attempt(order, payload, said.append), said


def test_a_score_of_one_output_is_an_objective(tmp_path: Path) -> None:
    """An array of one element is that number, in each epoch and in the result."""
    done, said = train(tmp_path, outputs=1)

    reported = [m.metrics["val_f1_score"] for m in said if isinstance(m, Report)]
    assert len(reported) == 2
    assert done.metrics["val_f1_score"] == max(reported)


def test_a_score_for_each_class_is_told_from_a_missing_one(tmp_path: Path) -> None:
    """An array is no objective; the sentence says that it is one, and what makes a number of it."""
    with pytest.raises(FatalValueError, match=r"one value for each of 3 .*average='macro'"):
        train(tmp_path, outputs=3)


@pytest.mark.parametrize(
    "value", [np.array([0.25]), np.array([[0.25]], "float32"), np.float32(0.25)]
)
def test_a_returned_history_may_hold_arrays_of_one_element(value: Any) -> None:
    """A fit of one's own returns what Keras has logged."""
    history = SimpleNamespace(history={"val_f1_score": [value / 2, value]}, epoch=[0, 1])

    result = normalize_result(history, Objective("val_f1_score", "max"))

    assert (result.metrics, result.best_step) == ({"val_f1_score": 0.25}, 1)
