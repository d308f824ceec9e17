"""A search of a small model on whichever back end KERAS_BACKEND names."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import numpy as np

import aiotune


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(hp.Int("units", 4, 64)), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-3, 1e-1, sampling="log")), "mse")
    return model


x = np.random.default_rng(0).random((128, 8), dtype="float32")
y = x.sum(axis=1, keepdims=True)
tuner = aiotune.RandomSearch(
    build, "val_loss", max_trials=3, seed=1, directory=sys.argv[1], project_name="p"
)
result = asyncio.run(tuner.search(x, y, epochs=2, validation_data=(x, y), verbose=0))
(model,) = tuner.get_best_models()
print(abs(model.evaluate(x, y, verbose=0) - (result.best_score or 0.0)) < 1e-4)  # noqa: T201 - read by the test
