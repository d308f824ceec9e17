"""What weighing says of a model: outputs of layers, limits, fallbacks; and what it leaves alone."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

import aiotune
from aiotune.errors import FailedTrialError, FatalValueError
from aiotune.failures import FailureKind
from aiotune.memory import ModelSize, state_bytes
from aiotune.wire import MAX_FRAME, Failed, Weighed, encode

pytestmark = pytest.mark.keras

X = np.zeros((64, 8), "float32")
Y = np.zeros((64, 1), "float32")
HUGE = 100_000  # units; ten such layers have 10¹¹ parameters


def size_of(answer: Weighed | Failed) -> ModelSize:
    assert isinstance(answer, Weighed), answer
    assert answer.size is not None, answer.why
    return answer.size


def stack(*layers: Any, **kwargs: Any) -> Any:
    import keras

    model = keras.Sequential(list(layers))
    model.compile(**{"optimizer": "adam", "loss": "mse", **kwargs})
    return model


def dense(*units: int, features: int = 8, **kwargs: Any) -> Any:
    import keras

    layers = [keras.layers.Dense(n) for n in units]
    return stack(keras.Input((features,)), *layers, **kwargs)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (lambda k: [k.Dense(10), k.Dense(2)], 10 + 2),
        (lambda k: [k.Input((8,)), k.Dense(10), k.Dropout(0.5), k.Dense(2)], 10 + 10 + 2),
        (lambda k: [k.Input((8,)), k.Reshape((4, 2)), k.LSTM(5)], 8 + 4 * 5 * 7),
        (lambda k: [k.Reshape((4, 2)), k.LSTM(5, return_sequences=True)], 8 + 4 * 5 * 7),
        (lambda k: [k.Reshape((4, 2)), k.GRU(5)], 8 + 4 * 5 * 6),
        (lambda k: [k.Reshape((4, 2)), k.SimpleRNN(5)], 8 + 4 * 5 * 2),
        (lambda k: [k.Reshape((4, 2)), k.RNN([k.LSTMCell(3), k.GRUCell(5)])], 8 + 4 * (21 + 30)),
        (lambda k: [k.Reshape((4, 2)), k.Bidirectional(k.LSTM(5))], 8 + 2 * 4 * 5 * 7),
        (lambda k: [k.Reshape((4, 2)), k.TimeDistributed(k.Dense(3))], 8 + 4 * 3),
        (lambda k: [k.Dense(4, dtype="mixed_bfloat16"), k.Dense(1)], 2 + 1),
    ],
)
def test_activations_are_the_outputs_of_leaf_layers(
    layers: Callable[[Any], list[Any]], expected: float, weigh: Any
) -> None:
    """Each call of a layer counts at the batch size; a cell's inner numbers count in each step."""
    import keras

    kinds = SimpleNamespace(**vars(keras.layers))

    size = size_of(weigh(lambda hp: stack(*layers(kinds)), X, Y))

    assert size.activation_bytes == 4 * 32 * expected
    assert size.batch_size == 32


def test_the_graph_and_the_call_show_the_same_outputs(weigh: Any) -> None:
    """A nested functional model tells what the same layers tell when they are called."""
    import keras

    def functional(hp: Any) -> Any:
        inner = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(5, name="a")])
        inputs = keras.Input((8,))
        model = keras.Model(inputs, keras.layers.Dense(1, name="b")(inner(inputs)))
        model.compile("adam", "mse")
        return model

    class Called(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = keras.layers.Dense(5, name="a"), keras.layers.Dense(1, name="b")

        def call(self, x: Any) -> Any:
            return self.b(self.a(x))

    graph = size_of(weigh(functional, X, Y)).layers
    call = size_of(weigh(lambda hp: Called(), X, Y)).layers

    assert [(row.kind, row.shape, row.dtype) for row in graph] == [
        ("Dense", (32, 5), "float32"),
        ("Dense", (32, 1), "float32"),
    ]
    assert [row.shape for row in call] == [row.shape for row in graph]


def test_what_a_training_step_needs_to_know_is_told(weigh: Any) -> None:
    """Optimizer, accumulation, precision, compilation, batch size and its bytes."""
    import keras

    adam = keras.optimizers.SGD(momentum=0.9, gradient_accumulation_steps=4)
    build = lambda hp: dense(4, 1, optimizer=adam, jit_compile=False)  # noqa: E731 - one line

    size = size_of(weigh(build, X, Y, batch_size=16))

    assert (size.optimizer, size.accumulation_steps) == ("SGD", 4)
    assert (size.compute_dtype, size.jit_compile) == ("float32", False)
    assert (size.batch_size, size.input_bytes) == (16, 16 * (8 + 1) * 4)
    assert size.bytes_by_dtype == {"float32": 41 * 4}


def test_a_compilation_that_is_left_to_the_back_end_is_not_guessed(weigh: Any) -> None:
    """What "auto" comes to on the CPU says nothing of a GPU."""
    assert size_of(weigh(lambda hp: dense(1), X, Y)).jit_compile is None


def test_many_layers_are_cut_to_the_largest(weigh: Any) -> None:
    """The answer fits a frame whatever the model; the sum still counts every layer."""
    size = size_of(weigh(lambda hp: dense(*[3] * 600, 40), X, Y))

    assert len(size.layers) == 500
    assert size.layers[-1].shape == (32, 40)
    assert size.activation_bytes == 32 * 4 * (600 * 3 + 40)
    assert len(encode(Weighed(size=size, values={}, entries=[]))) < MAX_FRAME / 4


# ── limits ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", ["max_parameters", "max_bytes"])
def test_a_hopeless_model_is_refused_in_no_time_and_without_memory(limit: str, weigh: Any) -> None:
    """10¹¹ parameters: the build is ended, in well under a second, with the numbers."""
    weigh(lambda hp: dense(2), X, Y)  # imports, and the back end's first operation
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()

    answer = weigh(
        lambda hp: dense(*[HUGE] * 10, features=HUGE), X, Y, order={limit: 80_000_000_000}
    )

    took = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert isinstance(answer, Failed)
    assert answer.failure.kind is FailureKind.OVERSIZED
    assert ("100,001,000,000 parameters" if limit == "max_parameters" else "74.51 GiB") in (
        answer.failure.message
    )
    assert took < 0.8
    assert grown < 100 << 20


def test_the_limit_of_parameters_is_exact(weigh: Any) -> None:
    """Seeds, metrics, the optimizer and what the model leaves unused are no parameters."""
    import keras

    def build(hp: Any) -> Any:
        inputs = keras.Input((8,))
        hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(4)(inputs))
        keras.layers.Dense(3)(hidden)  # not a part of the model
        model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
        model.compile("adam", "mse", metrics=["mae", keras.metrics.AUC()])
        return model

    fits = weigh(build, X, Y, order={"max_parameters": 41})
    refused = weigh(build, X, Y, order={"max_parameters": 40})

    assert size_of(fits).parameters == 41
    assert isinstance(refused, Failed)
    assert refused.failure.message == "The model has 41 parameters; max_model_size is 40."


def test_the_limit_of_bytes_counts_what_training_cannot_do_without(weigh: Any) -> None:
    """Weights and Adam's slots, and on torch gradients: the sum decides, to the byte."""
    size = size_of(weigh(lambda hp: dense(4, 1), X, Y))
    total = state_bytes(size)
    copies = 4 if size.backend == "torch" else 3
    assert 41 * 4 * copies < total < 41 * 4 * copies + 32  # and two scalars

    fits = weigh(lambda hp: dense(4, 1), X, Y, order={"max_bytes": total})
    refused = weigh(lambda hp: dense(4, 1), X, Y, order={"max_bytes": total - 1})

    assert size_of(fits).parameters == 41
    assert isinstance(refused, Failed)
    assert "its variables and its optimizer's" in refused.failure.message


def test_a_refusal_survives_those_who_swallow_it(weigh: Any) -> None:
    """A build that catches everything, and then fails for want of a model, was too large."""

    def build(hp: Any) -> Any:
        try:
            return dense(*[HUGE] * 3, features=HUGE)
        except Exception:  # noqa: BLE001 - what this is about
            raise RuntimeError("something else") from None

    answer = weigh(build, X, Y, order={"max_parameters": 10})

    assert isinstance(answer, Failed)
    assert answer.failure.kind is FailureKind.OVERSIZED


# ── fallbacks ──────────────────────────────────────────────────────────────


def test_a_value_that_is_read_is_built_for_real(weigh: Any) -> None:
    """32 MiB are read in build(): the model is built within bounds, and says so."""

    def build(hp: Any) -> Any:
        model = dense(2048, 1, features=4096)
        assert model.get_weights()[0].shape == (4096, 2048)
        return model

    answer = weigh(build, np.zeros((4, 4096), "float32"), np.zeros((4, 1)))

    size = size_of(answer)
    assert size.method == "built"
    assert size.parameters == 4096 * 2048 + 2048 + 2048 + 1
    assert size.slot_bytes >= 2 * size.gradient_bytes
    assert size.has_activations
    assert "32 MiB" in answer.why


def test_what_allocates_beside_keras_is_held_to_the_hosts_bound(weigh: Any) -> None:
    """A build that takes 2 GiB of its own has no size where 1 GiB is allowed; it may train yet."""

    def build(hp: Any) -> Any:
        model = dense(4, 1)
        model.table = np.ones(2 << 30, "uint8")
        return model

    answer = weigh(build, X, Y, order={"host_bytes": 1 << 30})

    assert isinstance(answer, Weighed)
    assert (answer.size, answer.builds) == (None, True)
    assert "host's memory" in answer.why


def test_a_step_is_traced_where_that_is_asked_for(weigh: Any) -> None:
    """The traced peak comes with the size; where a back end cannot be traced, there is none."""
    import keras

    answer = weigh(lambda hp: dense(64, 1), X, Y, order={"precise": True})

    size = size_of(answer)
    if keras.backend.backend() == "tensorflow":
        assert answer.precise_bytes is None
    else:
        assert size.weight_bytes + size.slot_bytes < answer.precise_bytes < 100 * size.weight_bytes


@pytest.mark.parametrize(
    ("error", "builds"),
    [
        (ZeroDivisionError("my mistake"), False),
        (FatalValueError("stop it all"), False),
        (FailedTrialError("not this one"), False),
        (SystemExit(3), False),
        (MemoryError("too much"), True),
    ],
)
def test_a_program_that_fails_is_left_to_its_attempt(
    error: BaseException, builds: bool, weigh: Any
) -> None:
    """There is no size; whether the attempt will fail likewise is said, and why."""

    def build(hp: Any) -> Any:
        raise error

    answer = weigh(build, X, Y)

    assert isinstance(answer, Weighed)
    assert answer.size is None
    assert answer.builds is builds
    assert str(error) in answer.why


def test_a_model_of_unknown_data_has_no_size(weigh: Any) -> None:
    """Weights that a generator's first batch would make cannot be known; that is no failure."""
    import keras

    answer = weigh(lambda hp: stack(keras.layers.Dense(1)), (pair for pair in [(X, Y)]))

    assert isinstance(answer, Weighed)
    assert (answer.size, answer.builds) == (None, True)
    assert "first sees data" in answer.why


def test_a_built_model_of_unknown_data_has_a_size_without_outputs(weigh: Any) -> None:
    """Without a batch size, weights are exact and activations are said to be unknown."""
    answer = weigh(lambda hp: dense(4, 1), (pair for pair in [(X, Y)]))

    size = size_of(answer)
    assert (size.parameters, size.activation_bytes, size.has_activations) == (41, 0, False)
    assert "outputs are not known" in answer.why


def test_a_tuner_without_a_hypermodel_has_nothing_to_weigh(weigh: Any) -> None:
    """Its run_trial is a function of its own."""

    class Own(aiotune.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            raise AssertionError("it would train")

    answer = weigh(None, X, Y, tuner=Own)

    assert answer == Weighed(
        size=None, values={}, entries=[], why="There is no hypermodel to weigh."
    )


# The alarm rings again until the work is left, and may do so where Python can only ignore it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_weighing_ends_in_time(weigh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that takes for ever costs the limit, even where it catches everything once."""
    import keras

    assert keras
    from aiotune.worker import _scales

    def build(hp: Any) -> Any:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001 - as a back end does
            while True:
                pass

    monkeypatch.setattr(_scales, "_SECONDS", 0.05)
    monkeypatch.setattr("aiotune.worker._bounds._AGAIN", 0.05)

    answer = weigh(build, X, Y)

    assert isinstance(answer, Weighed)
    assert (answer.size, answer.builds) == (None, True)
    assert "took more than" in answer.why


# ── what is left alone ─────────────────────────────────────────────────────


def test_keras_is_afterwards_what_it_was(weigh: Any) -> None:
    """No patch stays, and no weighed variable is given a value by a later scope."""
    import keras
    from keras.src.backend.common import global_state

    watched = [
        (keras.Variable, "__init__"),
        (keras.Model, "fit"),
        (keras.Model, "compile"),
        (keras.optimizers.Optimizer, "apply"),
        (keras.optimizers.Optimizer, "_var_key"),
        (keras.layers.Layer, "__call__"),
    ]
    before = [getattr(cls, name) for cls, name in watched]

    weigh(lambda hp: dense(4, 1), X, Y)
    weigh(lambda hp: dense(*[HUGE] * 2), X, Y, order={"max_parameters": 9})

    assert [getattr(cls, name) for cls, name in watched] == before
    assert "fit" not in vars(keras.Model)
    assert not global_state.get_global_attribute("uninitialized_variables")
    model = dense(4, 1)
    assert model.predict(X, verbose=0).shape == (64, 1)


def test_nothing_is_written(weigh: Any, tmp_path: Path) -> None:
    """A trial that is weighed has no directory, no checkpoint and no log."""
    weigh(lambda hp: dense(1), X, Y, validation_data=(X, Y), epochs=3)

    assert list(tmp_path.iterdir()) == []


def test_the_answer_is_data(weigh: Any) -> None:
    """It survives the wire unchanged."""
    answer = weigh(lambda hp: dense(hp.Int("units", 4, 64), 1), X, Y)

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Weighed) == answer
