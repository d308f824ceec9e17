"""Models that are classes: only their first call tells which weights they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiotune.worker._checkpoints import continue_from, load_weights, save_state, save_weights

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.random.default_rng(0).random((16, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)


def build(*, by_name: bool = False) -> Any:
    """A compiled model whose class leaves it to Keras to build it."""
    import keras

    class TwoLayers(keras.Model):  # type: ignore[misc] # keras has no annotations
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = keras.layers.Dense(3), keras.layers.Dense(1)

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.out(self.hidden(inputs["x"] if by_name else inputs))

    model = TwoLayers()
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


@pytest.fixture(params=[False, True], ids=["one array", "arrays by name"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any, Any]:
    """Give a trained model, a new one, and the data; what the first has left is in ``tmp_path``."""
    data = {"x": X} if request.param else X
    model = build(by_name=request.param)
    model.fit(data, Y, epochs=2, verbose=0)
    save_weights(model, tmp_path)
    save_state(model, tmp_path, 0)
    return model, build(by_name=request.param), data


def test_the_weights_of_a_subclassed_model_are_loaded(
    trained: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    """A new object, which was never called, predicts what the trained one predicts."""
    model, new, data = trained

    load_weights(new, tmp_path)

    assert np.array_equal(new.predict(data, verbose=0), model.predict(data, verbose=0))


def test_the_training_of_a_subclassed_model_goes_on(
    trained: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    """Another trial takes up the weights and the optimizer, at the step where it was."""
    model, new, data = trained

    went_on = continue_from(new, tmp_path, 0)

    assert went_on
    assert int(new.optimizer.iterations) == int(model.optimizer.iterations) == 2
    for trainer in (model, new):
        trainer.fit(data, Y, shuffle=False, verbose=0)
    assert np.allclose(new.predict(data, verbose=0), model.predict(data, verbose=0))


def build_parts() -> Any:
    """A model whose parts are trained and that is never called itself, as GANs are written."""
    import keras

    class Parts(keras.Model):  # type: ignore[misc] # keras has no annotations
        def __init__(self) -> None:
            super().__init__()
            self.part = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])

    model = Parts()
    model.part.compile(keras.optimizers.Adam(0.05), "mse")
    model.compile("adam")
    return model


def test_a_model_that_is_never_called_is_kept_and_loaded(tmp_path: Path) -> None:
    """Its parts have weights, which is what a trial leaves to be loaded."""
    model, new = build_parts(), build_parts()
    model.part.fit(X, Y, epochs=2, verbose=0)

    save_weights(model, tmp_path)
    load_weights(new, tmp_path)

    assert np.array_equal(new.part.predict(X, verbose=0), model.part.predict(X, verbose=0))
