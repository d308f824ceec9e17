"""Objects of Keras and of Python that a program holds outside ``build()`` arrive as they are."""

# ruff: noqa: TID253 - what Keras makes is what travels

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from aiotune.wire._keras_objects import copied, put_right
from aiotune.wire._payload import unpickled
from aiotune.wire._pickler import dump_program

pytestmark = pytest.mark.keras

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("float32")


def sent(obj: Any) -> Any:
    """Return what a worker has of an object."""
    buffers: list[Any] = []

    def keep(buffer: Any) -> None:
        buffers.append(buffer)

    head, _ = dump_program((obj, (), {}), keep)
    made, _, _, _, later = unpickled(head, buffers)
    put_right(later)
    return made


BOTH_WAYS = pytest.mark.parametrize("way", [sent, copied])


class Weighted(keras.losses.Loss):  # type: ignore[misc] # keras has no types
    """A loss of the program's own, with an argument that its configuration lacks."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.weight * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


class Stack(keras.Model):  # type: ignore[misc] # keras has no types
    """A model with layers in a list and in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = [keras.layers.Dense(3), keras.layers.Dense(1)]
        self.more = {"drop": keras.layers.Dropout(0.5)}

    def call(self, x: Any) -> Any:
        for layer in self.dense:
            x = layer(x)
        return self.more["drop"](x)


def compiled() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(label_smoothing=0.1)
    model.compile(keras.optimizers.AdamW(1e-2), loss, metrics=["accuracy", keras.metrics.AUC()])
    return model


def fitted() -> keras.Model:
    model = compiled()
    model.fit(X, Y, verbose=0)
    return model


def shared() -> keras.Model:
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4)
    outputs = keras.layers.Dense(1)(dense(dense(inputs)) + inputs)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return model


def deep() -> keras.Model:
    inputs = outputs = keras.Input((4,))
    for _ in range(150):
        outputs = keras.layers.Dense(4)(outputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile("sgd", "mse")
    return model


@BOTH_WAYS
def test_a_loss_keeps_its_arguments(way: Callable[[Any], Any]) -> None:
    """An argument of a loss arrives, also one that ``get_config()`` forgets."""
    for loss in (keras.losses.Huber(delta=3.0), Weighted(3.0)):
        arrived = way(loss)
        args = (np.zeros((1, 1)), np.full((1, 1), 10.0))
        assert type(arrived) is type(loss)
        assert float(arrived(*args)) == float(loss(*args))


@BOTH_WAYS
@pytest.mark.parametrize("make", [compiled, fitted, shared, deep])
def test_a_model_arrives_with_its_weights_and_trains(
    make: Callable[[], keras.Model], way: Callable[[Any], Any]
) -> None:
    """A model predicts as it did, holds as many variables, and can be trained and saved."""
    model = make()
    arrived = way(model)
    np.testing.assert_allclose(arrived.predict(X, verbose=0), model.predict(X, verbose=0))
    assert len(arrived.trainable_variables) == len(model.trainable_variables)
    before = [np.array(weight) for weight in model.get_weights()]
    arrived.fit(X, Y, verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(arrived.get_weights(), before, strict=True))
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now, "the original is another model")
    assert type(model).from_config(arrived.get_config()).count_params() == model.count_params()


@BOTH_WAYS
def test_what_objects_share_is_shared_afterwards(way: Callable[[Any], Any]) -> None:
    """Two models with one layer have one layer, and two optimizers one schedule."""
    dense = keras.layers.Dense(4)
    dense(X)
    first, second = keras.Sequential([dense]), keras.Sequential([dense, keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    rates = [keras.optimizers.Adam(schedule), keras.optimizers.SGD(schedule)]
    (one, two), (adam, sgd) = way(((first, second), rates))
    assert one.layers[0] is two.layers[0]
    assert adam._learning_rate is sgd._learning_rate
    one.layers[0].kernel.assign(np.zeros((4, 4)))
    assert not np.asarray(two(X)).any()


@BOTH_WAYS
def test_a_subclassed_model_tracks_what_it_is_given(way: Callable[[Any], Any]) -> None:
    """Layers in lists and dicts are known, and what is added later as well."""
    arrived = way(Stack())
    arrived.dense.append(keras.layers.Dense(2))
    arrived(X)
    assert len(arrived.trainable_variables) == 6


@BOTH_WAYS
@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.metrics.AUC(num_thresholds=7),
        lambda: keras.metrics.BinaryAccuracy(threshold=0.3),
        lambda: keras.initializers.GlorotUniform(seed=3),
        lambda: keras.random.SeedGenerator(3),
        lambda: keras.regularizers.L2(0.1),
        lambda: keras.optimizers.Adam(3e-3, use_ema=True, clipnorm=0.5),
        lambda: keras.Variable(X, name="weights"),
        lambda: keras.ops.convert_to_tensor(X),
    ],
)
def test_parts_of_models_arrive(make: Callable[[], Any], way: Callable[[Any], Any]) -> None:
    """Metrics, initializers, generators, regularizers, optimizers, layers, variables, tensors."""
    obj = make()
    arrived = way(obj)
    assert type(arrived) is type(obj)
    if hasattr(obj, "get_config"):
        assert repr(arrived.get_config()) == repr(obj.get_config())
    for name in ("name", "path"):
        assert getattr(arrived, name, None) == getattr(obj, name, None)


@BOTH_WAYS
def test_an_adapted_normalization_keeps_what_it_learned(way: Callable[[Any], Any]) -> None:
    """Mean and variance arrive."""
    layer = keras.layers.Normalization()
    layer.adapt(X)
    np.testing.assert_allclose(np.asarray(way(layer)(X)), np.asarray(layer(X)))


@BOTH_WAYS
def test_an_adapted_text_layer_keeps_its_words_and_its_function(way: Callable[[Any], Any]) -> None:
    """A vocabulary arrives, and a function of the program's own for standardizing."""
    pytest.importorskip("tensorflow")
    layer = keras.layers.TextVectorization(standardize=lambda text: text)
    layer.adapt(["b a b", "c B"])
    arrived = way(layer)
    assert arrived.get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_array_equal(np.asarray(arrived(["a B x"])), np.asarray(layer(["a B x"])))
    fresh = keras.layers.StringLookup()
    assert way(fresh).get_vocabulary() == fresh.get_vocabulary()


def test_a_traced_function_arrives_untraced() -> None:
    """A ``tf.function`` that was called before runs again, and keeps its options."""
    tf = pytest.importorskip("tensorflow")
    counter: list[int] = []

    def twice(x: Any) -> Any:
        counter.append(1)
        return 2 * x

    traced = tf.function(twice, reduce_retracing=True)
    traced(tf.constant(1.0))
    arrived = sent(traced)
    assert float(arrived(tf.constant(2.0))) == 4.0
    assert arrived._reduce_retracing


def fibonacci() -> Any:
    @functools.lru_cache(maxsize=17)
    def of(n: int) -> int:
        return n if n < 2 else of(n - 1) + of(n - 2)

    of.__module__ = "__main__"
    return of


def test_a_cached_function_of_the_program_arrives() -> None:
    """A function with a cache, which calls itself through it, arrives with an empty cache."""
    of = fibonacci()
    assert of(20) == 6765
    arrived = sent(of)
    assert arrived.cache_info().currsize == 0
    assert arrived.cache_parameters() == {"maxsize": 17, "typed": False}
    assert arrived(20) == 6765


def test_a_generic_function_arrives() -> None:
    """A ``singledispatch`` that was called before finds its implementations."""

    @functools.singledispatch
    def name(_value: object) -> str:
        return "object"

    @name.register
    def _(_value: int) -> str:
        return "int"

    assert (name(1), name("")) == ("int", "object")
    arrived = sent(name)
    assert (arrived(1), arrived("")) == ("int", "object")


class Counting(keras.callbacks.Callback):  # type: ignore[misc] # keras has no types
    """A callback that several threads may count with."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.again, self.event = threading.Lock(), threading.RLock(), threading.Event()
        self.seen: weakref.WeakSet[Any] = weakref.WeakSet()


@BOTH_WAYS
def test_locks_are_made_anew(way: Callable[[Any], Any]) -> None:
    """What holds a lock arrives with one that nobody holds."""
    callback = Counting()
    with callback.lock, callback.again:
        arrived = way(callback)
    assert arrived.lock.acquire(blocking=False)
    assert not arrived.event.is_set()
