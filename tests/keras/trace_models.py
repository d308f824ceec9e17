"""Traces small models of several kinds on the back end of KERAS_BACKEND; prints what was found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras  # noqa: TID253 - a program of its own

from aiotune.memory import ModelSize, state_bytes, training_bytes
from aiotune.worker._cpu import on_the_cpu
from aiotune.worker._tracing import traced_peak

L = keras.layers
BACKEND = keras.backend.backend()
HUGE = 100_000


def compiled(model: Any, loss: Any = "sparse_categorical_crossentropy", **kwargs: Any) -> Any:
    model.compile(kwargs.pop("optimizer", "adam"), loss, metrics=["accuracy"], **kwargs)
    return model


def mlp(units: int = 512, **kwargs: Any) -> Any:
    hidden = [L.Dense(units, activation="relu") for _ in range(3)]
    return compiled(
        keras.Sequential([*hidden, L.Dropout(0.1), L.Dense(10, activation="softmax")]), **kwargs
    )


def cnn() -> Any:
    blocks: list[Any] = []
    for filters in (8, 16):
        blocks += [L.Conv2D(filters, 3), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D()]
    head = [L.GlobalAveragePooling2D(), L.Dense(10, activation="softmax")]
    return compiled(keras.Sequential([keras.Input((32, 32, 3)), *blocks, *head]))


def lstm() -> Any:
    layers = [L.LSTM(32, return_sequences=True), L.LSTM(32), L.Dense(10, activation="softmax")]
    return compiled(keras.Sequential([keras.Input((16, 8)), *layers]))


def transformer() -> Any:
    tokens = keras.Input((32,), dtype="int32")
    x = L.Embedding(500, 64)(tokens)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(4, 16, dropout=0.1)(x, x))
    x = L.LayerNormalization()(x + L.Dense(64)(L.Dense(256, activation="gelu")(x)))
    x = L.GlobalAveragePooling1D()(x)
    return compiled(keras.Model(tokens, L.Dense(10, activation="softmax")(x)))


class ReadsItsLoss(keras.Model):  # type: ignore[misc]
    """What it computes depends on a number that only training has."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, *args: Any) -> Any:
        rate = float(keras.ops.mean(self(args[-1][0])))
        return {"loss": rate}


class TwoInputs(keras.Model):  # type: ignore[misc]
    """A subclass that is not built, takes a dict, and adds its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = L.Dense(64), L.Dense(64)

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        x = self.left(inputs["a"]) * self.right(inputs["b"])
        self.add_loss(keras.ops.mean(keras.ops.square(x)))
        return x


def size_of(model: Any, batch: int, x: Any) -> ModelSize:
    """Count a model that was built for real."""
    model(x)
    model.optimizer.build(model.trainable_variables)

    def count(variables: list[Any]) -> int:
        return sum(4 * math.prod(v.shape) for v in variables)

    outputs = 0
    for layer in model.layers:
        times = 7 * layer.units * x.shape[1] if isinstance(layer, L.LSTM) else 0
        shapes = [t.shape[1:] for t in keras.tree.flatten(layer.output)]
        outputs += 4 * batch * (times or sum(math.prod(shape) for shape in shapes))
    return ModelSize(
        backend=BACKEND,
        parameters=model.count_params(),
        trainable_parameters=count(model.trainable_variables) // 4,
        weight_bytes=count(model.variables),
        gradient_bytes=count(model.trainable_variables),
        slot_bytes=count(model.optimizer.variables),
        activation_bytes=outputs,
        input_bytes=4 * math.prod(x.shape),
        optimizer=type(model.optimizer).__name__,
    )


def spec(batch: int, *shape: int, dtype: str = "float32") -> Any:
    return keras.KerasTensor((batch, *shape), dtype)


def peak(build: Callable[[], Any], x: Any, y: Any = None) -> int | None:
    return traced_peak(build, (x, y), BACKEND)


def kinds() -> dict[str, Any]:
    found = {}
    for build, shape, dtype in (
        (mlp, (64,), "float32"),
        (cnn, (32, 32, 3), "float32"),
        (lstm, (16, 8), "float32"),
        (transformer, (32,), "int32"),
    ):
        rows = []
        for batch in (32, 256):
            x, y = spec(batch, *shape, dtype=dtype), spec(batch, dtype="int32")
            size = size_of(build(), batch, x)
            traced = peak(build, x, y)
            rows.append([state_bytes(size), traced, training_bytes(size)])
        found[build.__name__] = rows
    return found


def half() -> Any:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return mlp()
    finally:
        keras.config.set_dtype_policy("float32")


def accumulating(steps: int | None) -> Any:
    return mlp(optimizer=keras.optimizers.Adam(gradient_accumulation_steps=steps))


def reads_its_loss() -> Any:
    return compiled(ReadsItsLoss(), "mse", run_eagerly=False)


def broken() -> Any:
    raise NameError("units is not defined")


def sets_its_weights() -> Any:
    model = mlp(8)
    model.build((None, 64))
    model.set_weights([2 * weight for weight in model.get_weights()])
    return model


def two_inputs() -> Any:
    model = TwoInputs()
    model.compile("sgd")
    return model


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def huge() -> list[Any]:
    before = resident()
    found = peak(lambda: mlp(HUGE), spec(32, HUGE), spec(32, dtype="int32"))
    return [found, resident() - before]


def main() -> None:
    x = spec(64, 64)
    with on_the_cpu():
        found = {
            "kinds": kinds(),
            "told": peak(mlp, x, spec(64, dtype="int32")),
            "made_up": peak(mlp, x),
            "unknown_loss": peak(lambda: mlp(loss=lambda _y, p: keras.ops.sum(p)), x),
            "reads_its_loss": peak(reads_its_loss, x),
            "broken": peak(broken, x),
            "sets_its_weights": peak(sets_its_weights, x),
            "nadam": peak(lambda: mlp(optimizer="nadam"), x),
            "mixed_float16": peak(half, x),
            "once": peak(lambda: accumulating(None), x),
            "accumulating": peak(lambda: accumulating(4), x),
            "two_inputs": peak(two_inputs, {"a": x, "b": x}),
            "not_compiled": peak(lambda: keras.Sequential([L.Dense(1)]), x),
            "gradients": 4 * (64 * 512 + 2 * 512 * 512 + 512 * 10 + 3 * 512 + 10),
            "huge": huge(),
        }
    print(json.dumps(found))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
