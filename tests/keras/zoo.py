"""A zoo of models, each with data to train it on: what weighing has to get right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras  # noqa: TID253 - loaded by tests that build models anyway
import numpy as np

__all__ = ("ZOO", "L", "Specimen", "compiled", "floats", "specimen", "stack")

L = keras.layers
RNG = np.random.default_rng(0)
N = 6  # samples


@dataclass(frozen=True, slots=True)
class Specimen:
    """One model.

    Attributes:
        build: Makes it, with an optimizer or without.
        x: Data to call it on.
        y: Targets; never looked at but for their shape.
        callable: Whether the model can be called on ``x``.
        not_on: Back ends on which Keras itself cannot make it.
    """

    build: Callable[[], Any]
    x: Any
    y: Any = None
    callable: bool = True
    not_on: tuple[str, ...] = ()


ZOO: dict[str, Specimen] = {}


def floats(*shape: int) -> Any:
    return RNG.random((N, *shape), dtype="float32")


def ints(high: int, *shape: int) -> Any:
    return RNG.integers(0, high, (N, *shape)).astype("int32")


def specimen(x: Any, **facts: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def add(build: Callable[[], Any]) -> Callable[[], Any]:
        ZOO[build.__name__] = Specimen(build, x, y=facts.pop("y", floats(1)), **facts)
        return build

    return add


def compiled(model: Any, optimizer: Any = "adam", **kwargs: Any) -> Any:
    model.compile(optimizer, "mse", **kwargs)
    return model


def stack(*layers: Any, optimizer: Any = "adam") -> Any:
    return compiled(keras.Sequential(list(layers)), optimizer)


# ── how models are put together ────────────────────────────────────────────


@specimen(floats(5))
def sequential_with_input() -> Any:
    return stack(keras.Input((5,)), L.Dense(7, activation="relu"), L.Dense(1))


@specimen(floats(5))
def sequential_without_input() -> Any:
    return stack(L.Dense(7), L.BatchNormalization(), L.Dense(1))


@specimen(floats(5))
def not_compiled() -> Any:
    return keras.Sequential([keras.Input((5,)), L.Dense(1)])


@specimen(floats(5))
def functional() -> Any:
    inputs = keras.Input((5,))
    hidden = L.Dense(8)(inputs)
    return compiled(keras.Model(inputs, L.Dense(1)(L.Add()([hidden, L.Dense(8)(hidden)]))))


@specimen(floats(5))
def functional_with_raw_operations() -> Any:
    inputs = keras.Input((5,))
    hidden = keras.ops.reshape(L.Dense(8)(inputs), (-1, 2, 4))
    return compiled(keras.Model(inputs, L.Dense(1)(L.Flatten()(hidden * 2.0))))


@specimen(
    {"number": floats(3), "word": ints(50, 4)},
    y={"a": floats(1), "b": floats(2)},
)
def dictionaries_in_and_out() -> Any:
    number, word = keras.Input((3,), name="number"), keras.Input((4,), dtype="int32", name="word")
    words = L.GlobalAveragePooling1D()(L.Embedding(50, 6)(word))
    both = L.Concatenate()([number, words])
    outputs = {"a": L.Dense(1, name="a")(both), "b": L.Dense(2, name="b")(both)}
    return compiled(keras.Model({"number": number, "word": word}, outputs))


@specimen([floats(3), floats(4)], y=floats(1))
def list_of_inputs() -> Any:
    inputs = [keras.Input((3,)), keras.Input((4,))]
    return compiled(keras.Model(inputs, L.Dense(1)(L.Concatenate()(inputs))))


class Perceptron(keras.Model):  # type: ignore[misc]
    def __init__(self, units: int) -> None:
        super().__init__()
        self.hidden = [L.Dense(units) for _ in range(2)]
        self.last = L.Dense(1)

    def call(self, x: Any) -> Any:
        for layer in self.hidden:
            x = layer(x)
        return self.last(x)


@specimen(floats(5))
def subclass() -> Any:
    return compiled(Perceptron(9))


@specimen(floats(5))
def subclass_said_to_be_built() -> Any:
    model = Perceptron(9)
    model.built = True
    return compiled(model)


class Affine(keras.layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 3), initializer="glorot_uniform")
        self.bias = self.add_weight(shape=(3,), initializer=keras.initializers.Constant(0.1))

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, self.kernel) + self.bias


@specimen(floats(5))
def layer_of_ones_own() -> Any:
    return stack(keras.Input((5,)), Affine(), L.Dense(1))


@specimen(floats(5))
def functional_in_sequential() -> Any:
    inputs = keras.Input((5,))
    inner = keras.Model(inputs, L.Dense(4)(L.Dense(6)(inputs)))
    return stack(keras.Input((5,)), inner, L.Dense(1))


@specimen(floats(5))
def subclass_in_functional() -> Any:
    inputs = keras.Input((5,))
    return compiled(keras.Model(inputs, L.Dense(2)(Perceptron(4)(inputs))))


@specimen(floats(5))
def shared_layer() -> Any:
    shared, inputs = L.Dense(5), keras.Input((5,))
    return compiled(keras.Model(inputs, shared(shared(shared(inputs)))))


@specimen(floats(5))
def frozen_layers() -> Any:
    frozen = L.Dense(6, trainable=False)
    return stack(keras.Input((5,)), frozen, L.BatchNormalization(), L.Dense(1))


@specimen(floats(5))
def cloned() -> Any:
    return keras.models.clone_model(functional())


class Plus(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.table = keras.Variable(np.ones((5,), "float32"), trainable=False)
        self.scale = keras.Variable([1.0, 2.0, 3.0, 4.0, 5.0])
        self.bias = self.add_weight(shape=(5,), initializer="zeros")

    def call(self, x: Any) -> Any:
        return x * self.scale + self.table + self.bias


@specimen(floats(5))
def variables_made_from_values() -> Any:
    return stack(keras.Input((5,)), Plus(), L.Dense(1))


@specimen(floats(5))
def weights_set_and_read_in_build() -> Any:
    model = stack(keras.Input((5,)), L.Dense(4), L.Dense(1))
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    assert float(np.sum(model.get_weights()[0])) == 20.0
    return model


@specimen(floats(5))
def lambda_layer() -> Any:
    return stack(keras.Input((5,)), L.Lambda(lambda x: x * 2), L.Dense(1))


@specimen(floats(5))
def randomness() -> Any:
    return stack(keras.Input((5,)), L.Dropout(0.5), L.GaussianNoise(0.1), L.Dense(1))


# ── kinds of layers ────────────────────────────────────────────────────────


@specimen(floats(8, 8, 3))
def convolutions() -> Any:
    return stack(
        keras.Input((8, 8, 3)),
        L.Conv2D(4, 3, padding="same"),
        L.BatchNormalization(),
        L.ReLU(),
        L.SeparableConv2D(5, 3),
        L.DepthwiseConv2D(3),
        L.Conv2DTranspose(2, 2),
        L.MaxPooling2D(),
        L.GroupNormalization(2),
        L.GlobalAveragePooling2D(),
        L.Dense(1),
    )


@specimen(floats(6, 4, 4, 2))
def convolutions_in_three_dimensions() -> Any:
    return stack(L.Conv3D(3, 2), L.Flatten(), L.Dense(1))


@specimen(floats(9, 3))
def long_and_short_memory() -> Any:
    return stack(keras.Input((9, 3)), L.LSTM(4, return_sequences=True), L.LSTM(5), L.Dense(1))


@specimen(floats(9, 3))
def gated_recurrence_without_input() -> Any:
    return stack(L.GRU(4), L.Dense(1))


@specimen(floats(9, 3))
def both_directions() -> Any:
    return stack(keras.Input((9, 3)), L.Bidirectional(L.LSTM(4)), L.Dense(1))


@specimen(floats(9, 3))
def stacked_cells() -> Any:
    return stack(keras.Input((9, 3)), L.RNN([L.LSTMCell(4), L.SimpleRNNCell(5)]), L.Dense(1))


@specimen(floats(4, 6, 6, 2))
def convolutional_memory() -> Any:
    return stack(keras.Input((4, 6, 6, 2)), L.ConvLSTM2D(3, 3), L.Flatten(), L.Dense(1))


@specimen(floats(9, 3))
def distributed_over_time() -> Any:
    return stack(keras.Input((9, 3)), L.TimeDistributed(L.Dense(4)), L.Flatten(), L.Dense(1))


@specimen(ints(100, 7), y=floats(7, 1))
def transformer() -> Any:
    tokens = keras.Input((7,), dtype="int32")
    x = L.Embedding(100, 8)(tokens)
    for _ in range(2):
        x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x))
        x = L.LayerNormalization()(x + L.Dense(8)(L.Dense(16, activation="gelu")(x)))
    return compiled(keras.Model(tokens, L.Dense(1)(x)))


@specimen(ints(100, 7), y=floats(7, 1))
def open_length() -> Any:
    tokens = keras.Input((None,), dtype="int32")
    return compiled(
        keras.Model(
            tokens,
            L.Dense(1)(
                L.LSTM(4, return_sequences=True)(L.Embedding(100, 8, mask_zero=True)(tokens))
            ),
        )
    )


@specimen(floats(5))
def spectral_normalization() -> Any:
    return stack(keras.Input((5,)), L.SpectralNormalization(L.Dense(4)), L.Dense(1))


@specimen(floats(5))
def adapted_normalization() -> Any:
    normalization = L.Normalization()
    normalization.adapt(floats(5))
    return stack(keras.Input((5,)), normalization, L.Dense(1))


@specimen(floats(8, 8, 3))
def augmentation() -> Any:
    return stack(
        keras.Input((8, 8, 3)),
        L.RandomFlip(),
        L.RandomRotation(0.1),
        L.Rescaling(1 / 255),
        L.Conv2D(2, 3),
        L.GlobalMaxPooling2D(),
        L.Dense(1),
    )


@specimen(floats(5))
def low_rank_adaptation() -> Any:
    model = keras.Sequential([keras.Input((5,)), L.Dense(8), L.Dense(1)])
    model.layers[0].enable_lora(2)
    return compiled(model)


@specimen(floats(5), not_on=("torch",))
def quantized() -> Any:
    model = keras.Sequential([keras.Input((5,)), L.Dense(8), L.Dense(1)])
    model.quantize("int8")
    return model
