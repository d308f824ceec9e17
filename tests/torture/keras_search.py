"""A Hyperband of a small Keras model whose state is saved after each epoch; killed and run again by a test."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import numpy as np

import aiotune

X = np.random.default_rng(0).random((64, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)


def build(hp: aiotune.HyperParameters) -> Any:
    """Build one with a hidden layer, and an optimizer that has something to remember."""
    import keras

    model = keras.Sequential(
        [keras.layers.Dense(hp.Int("units", 2, 16), activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-3, 0.1, sampling="log")), "mse")
    return model


class Slow(aiotune.Hyperband):
    """Takes its time, so that it can be killed within an epoch."""

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        """Wait."""
        threading.Event().wait(0.1)


if __name__ == "__main__":
    tuner = Slow(
        build,
        "val_loss",
        max_epochs=8,
        factor=4,
        seed=5,
        directory=sys.argv[1],
        project_name="p",
        max_parallel_trials=1,
        resume_every=0,
    )
    # One batch an epoch, so that no shuffling makes a difference.
    data = {"batch_size": 64, "shuffle": False, "validation_data": (X, Y)}
    asyncio.run(tuner.search(X, Y, verbose=2, **data))
