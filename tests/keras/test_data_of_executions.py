"""Data that a function returns, where a trial trains several times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.testing._processes import attempt_order
from aiotune.wire import Payload, RunAttempt
from aiotune.worker._attempt import run_attempt

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.random.default_rng(0).random((32, 4), dtype="float32")


def train(path: Path, data: Callable[[], Any]) -> Any:
    """Train a model twice; return the result of the attempt."""

    def build(hp: aiotune.HyperParameters) -> Any:
        import keras

        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    order = attempt_order(path, objective=[{"name": "loss", "direction": "min"}]).order
    assert isinstance(order, RunAttempt)
    tuner = aiotune.RandomSearch(build, directory=path, executions_per_trial=2)
    return run_attempt(
        order, Payload(tuner, (data,), {"verbose": 0, "shuffle": False}), lambda _: None
    )


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_each_execution_has_a_generator_of_its_own(tmp_path: Path) -> None:
    """A generator gives its batches once: the second training would find none."""
    made = []

    def batches() -> Iterator[Any]:
        made.append("a generator")
        yield from ((X[i : i + 8], X[i : i + 8, :1]) for i in range(0, 32, 8))

    done = train(tmp_path, batches)

    assert len(done.executions) == 2
    assert len(made) == 2


@pytest.mark.tensorflow
def test_data_that_can_be_read_again_is_made_once(tmp_path: Path) -> None:
    """Loading may take long, so a dataset or an array serves all executions."""
    import tensorflow as tf

    made = []

    def dataset() -> Any:
        made.append("a dataset")
        return tf.data.Dataset.from_tensor_slices((X, X[:, :1])).batch(8)

    done = train(tmp_path, dataset)

    assert len(done.executions) == 2
    assert made == ["a dataset"]
