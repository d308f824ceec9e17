"""What a program sets for all its models, and registers with Keras, holds in its workers."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.testing._processes import attempt_order
from aiotune.wire import Payload, RunAttempt, load, pack
from aiotune.worker._attempt import run_attempt

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.zeros((8, 4), "float32")
DATA: dict[str, Any] = {"x": X, "y": X[:, :1], "verbose": 0}


@pytest.fixture
def config() -> Iterator[Any]:
    """Give Keras's settings, with nothing registered, and leave them as they were."""
    import keras

    held = keras.config.dtype_policy(), keras.config.floatx(), keras.config.epsilon()
    registered = dict(keras.saving.get_custom_objects())
    keras.saving.get_custom_objects().clear()
    yield keras.config
    keras.config.set_floatx(held[1])
    keras.config.set_dtype_policy(held[0])
    keras.config.set_epsilon(held[2])
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(registered)


def build(hp: aiotune.HyperParameters) -> Any:
    """A model that tells in which precision it was built."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    hp.Fixed("policy", model.layers[0].dtype_policy.name)
    sys.stdout.write(f"built in {model.layers[0].dtype_policy.name}\n")
    model.compile("sgd", "mse")
    return model


async def test_models_are_trained_in_the_precision_of_the_program(
    tmp_path: Path, config: Any
) -> None:
    """A policy that was set at the top of a program is that of its workers."""
    config.set_dtype_policy("mixed_bfloat16")
    tuner = aiotune.RandomSearch(build, "loss", max_trials=1, directory=tmp_path)

    result = await tuner.search(**DATA)

    assert [trial.values["policy"] for trial in result.trials] == ["mixed_bfloat16"]


def test_every_execution_is_trained_in_the_same_precision(
    tmp_path: Path, config: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is cleared between two executions, to begin afresh, is not the program's policy."""
    config.set_dtype_policy("mixed_bfloat16")
    tuner = aiotune.RandomSearch(build, "loss", directory=tmp_path, executions_per_trial=2)
    order = attempt_order(tmp_path, objective=[{"name": "loss", "direction": "min"}]).order
    assert isinstance(order, RunAttempt)

    run_attempt(order, Payload(tuner, (), DATA), lambda _: None)

    assert capsys.readouterr().out.splitlines() == ["built in mixed_bfloat16"] * 2


def test_a_worker_has_the_settings_of_its_program(config: Any) -> None:
    """Float type and epsilon travel beside the program."""
    config.set_floatx("float64")
    config.set_epsilon(1e-3)
    packed = pack(Payload(None))
    config.set_floatx("float32")
    config.set_epsilon(1e-7)

    load(packed.fd)

    assert config.floatx() == "float64"
    assert config.epsilon() == 1e-3
    packed.close()


def test_a_registered_layer_of_the_program_is_known_to_its_workers(
    tmp_path: Path, config: Any
) -> None:
    """A model with a layer of ``__main__`` is loaded there, from a file or from a closure."""
    import keras

    class Twice(keras.layers.Layer):  # type: ignore[misc] # keras has no annotations
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    Twice.__module__ = "__main__"  # so that it travels by value, as one of a script does
    keras.saving.register_keras_serializable("mine")(Twice)
    model = keras.Sequential([keras.Input((4,)), Twice()])
    model.save(tmp_path / "twice.keras")
    packed = pack(Payload(lambda: model))
    keras.saving.get_custom_objects().clear()

    payload = load(packed.fd)

    for loaded in (payload.target(), keras.saving.load_model(tmp_path / "twice.keras")):
        assert loaded.predict(X + 1, verbose=0).tolist() == (X + 2).tolist()
    packed.close()


def test_what_is_registered_and_cannot_travel_stops_nobody(config: Any) -> None:
    """Most registered objects are never asked for by name; Keras says so of one that is."""
    import keras

    keras.saving.get_custom_objects()["held"] = (item for item in "ab")
    keras.saving.get_custom_objects()["buffer"] = io.BytesIO
    packed = pack(Payload(None))
    keras.saving.get_custom_objects().clear()

    load(packed.fd)

    assert dict(keras.saving.get_custom_objects()) == {"buffer": io.BytesIO}
    packed.close()
