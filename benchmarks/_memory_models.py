"""Twelve families of Keras models, each in three sizes and at two batch sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras  # noqa: TID253 - only processes that build models import it

__all__ = ("FAMILIES", "Case", "Family", "cases")

L = keras.layers
CLASSES = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """Models that differ in size only.

    Attributes:
        build: From a size to a compiled model.
        shape: Of one input, without the batch.
        sizes: What ``build`` takes.
        batches: Samples in a batch.
        dtype: Of the inputs; integers are below 1000.
        target: Of one target: empty for a class number, else the shape of numbers.
    """

    build: Callable[[int], Any]
    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    batches: tuple[int, ...]
    dtype: str = "float32"
    target: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One model at one batch size."""

    family: str
    size: int
    batch: int

    def build(self) -> Any:
        return FAMILIES[self.family].build(self.size)

    def spec(self) -> tuple[Any, Any]:
        """Return the specs of a batch of inputs and of targets."""
        family = FAMILIES[self.family]
        x = keras.KerasTensor((self.batch, *family.shape), family.dtype)
        dtype = "float32" if family.target else "int32"
        return x, keras.KerasTensor((self.batch, *family.target), dtype)


def cases() -> Iterator[Case]:
    """Return all models at all batch sizes."""
    for name, family in FAMILIES.items():
        for size in family.sizes:
            for batch in family.batches:
                yield Case(name, size, batch)


def _classifier(inputs: Any, features: Any, optimizer: Any = "adam") -> Any:
    model = keras.Model(inputs, L.Dense(CLASSES, activation="softmax")(features))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _mlp(units: int) -> Any:
    inputs = x = keras.Input((512,))
    for _ in range(6):
        x = L.Dropout(0.1)(L.Dense(units, activation="relu")(x))
    return _classifier(inputs, x)


def _autoencoder(units: int) -> Any:
    inputs = x = keras.Input((4096,))
    for width in (units, units // 4, units // 16, units // 4, units):
        x = L.Dense(width, activation="gelu")(x)
    model = keras.Model(inputs, L.Dense(4096)(x))
    model.compile("adamw", "mse")
    return model


def _conv(x: Any, filters: int, strides: int = 1) -> Any:
    x = L.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
    return L.ReLU()(L.BatchNormalization()(x))


def _vgg(filters: int) -> Any:
    inputs = x = keras.Input((64, 64, 3))
    for factor in (1, 2, 4):
        x = L.MaxPooling2D()(_conv(_conv(x, factor * filters), factor * filters))
    return _classifier(inputs, L.GlobalAveragePooling2D()(x))


def _resnet(filters: int) -> Any:
    inputs = keras.Input((64, 64, 3))
    x = _conv(inputs, filters)
    for stage in range(3):
        wide = filters << stage
        for block in range(2):
            strides = 2 if stage and not block else 1
            y = L.Conv2D(wide, 3, padding="same")(_conv(x, wide, strides))
            if strides == 2:
                x = L.Conv2D(wide, 1, 2)(x)
            x = L.ReLU()(x + L.BatchNormalization()(y))
    return _classifier(inputs, L.GlobalAveragePooling2D()(x), "sgd")


def _unet(filters: int) -> Any:
    inputs = keras.Input((96, 96, 3))
    skips = []
    x = _conv(inputs, filters)
    for depth in (1, 2):
        skips.append(x)
        x = _conv(L.MaxPooling2D()(x), filters << depth)
    for depth in (1, 0):
        x = L.Conv2DTranspose(filters << depth, 2, 2)(x)
        x = _conv(L.Concatenate()([x, skips[depth]]), filters << depth)
    model = keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy")
    return model


def _conv1d(filters: int) -> Any:
    inputs = x = keras.Input((1024, 8))
    for dilation in (1, 2, 4, 8):
        x = L.Conv1D(filters, 5, padding="causal", dilation_rate=dilation)(x)
        x = L.SpatialDropout1D(0.1)(L.LayerNormalization()(L.Activation("swish")(x)))
    return _classifier(inputs, L.GlobalMaxPooling1D()(x), "rmsprop")


def _lstm(units: int) -> Any:
    inputs = keras.Input((16, 32))
    x = L.LSTM(units)(L.LSTM(units, return_sequences=True)(inputs))
    return _classifier(inputs, x)


def _gru(units: int) -> Any:
    inputs = keras.Input((16, 32))
    x = L.Bidirectional(L.GRU(units, return_sequences=True))(inputs)
    return _classifier(inputs, L.GRU(units)(x))


def _encoder(x: Any, width: int, blocks: int) -> Any:
    for _ in range(blocks):
        y = L.MultiHeadAttention(8, width // 8, dropout=0.1)(x, x)
        x = L.LayerNormalization()(x + y)
        y = L.Dense(width)(L.Dense(4 * width, activation="gelu")(x))
        x = L.LayerNormalization()(x + L.Dropout(0.1)(y))
    return x


def _transformer(width: int) -> Any:
    inputs = keras.Input((128,), dtype="int32")
    x = _encoder(L.Embedding(1000, width)(inputs), width, 3)
    return _classifier(inputs, L.GlobalAveragePooling1D()(x))


def _vit(width: int) -> Any:
    inputs = keras.Input((64, 64, 3))
    x = L.Reshape((64, width))(L.Conv2D(width, 8, 8)(inputs))
    return _classifier(inputs, L.Flatten()(_encoder(x, width, 4)), "adamw")


def _recommender(width: int) -> Any:
    inputs = keras.Input((32,), dtype="int32")
    x = L.Flatten()(L.Embedding(200_000, width)(inputs))
    return _classifier(inputs, L.Dense(256, activation="relu")(x), "adagrad")


def _mixer(width: int) -> Any:
    inputs = keras.Input((64, 64, 3))
    x = L.Reshape((256, width))(L.Conv2D(width, 4, 4)(inputs))
    for _ in range(4):
        y = L.Permute((2, 1))(L.LayerNormalization()(x))
        y = L.Dense(256)(L.Dense(128, activation="gelu")(y))
        x = x + L.Permute((2, 1))(y)
        y = L.Dense(2 * width, activation="gelu")(L.LayerNormalization()(x))
        x = x + L.Dense(width)(y)
    return _classifier(inputs, L.GlobalAveragePooling1D()(x), "lion")


FAMILIES = {
    "dense": Family(_mlp, (512,), (1024, 1280, 1536), (32, 256)),
    "autoencoder": Family(_autoencoder, (4096,), (1024, 1280, 1536), (32, 128), target=(4096,)),
    "VGG": Family(_vgg, (64, 64, 3), (16, 24, 32), (16, 24)),
    "ResNet": Family(_resnet, (64, 64, 3), (16, 24, 32), (12, 20)),
    "U-Net": Family(_unet, (96, 96, 3), (12, 16, 24), (6, 10), target=(96, 96, 1)),
    "convolution 1d": Family(_conv1d, (1024, 8), (48, 64, 96), (12, 20)),
    "LSTM": Family(_lstm, (16, 32), (128, 192, 256), (192, 320)),
    "GRU": Family(_gru, (16, 32), (96, 128, 160), (192, 320)),
    "transformer": Family(_transformer, (128,), (128, 192, 256), (8, 14), "int32"),
    "vision transformer": Family(_vit, (64, 64, 3), (128, 192, 256), (12, 20)),
    "embeddings": Family(_recommender, (32,), (32, 48, 64), (256, 1024), "int32"),
    "mixer": Family(_mixer, (64, 64, 3), (96, 128, 192), (10, 18)),
}
