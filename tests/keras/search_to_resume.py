"""One trial of eight epochs that waits in its fourth, to be killed there; "on": it does not wait."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import numpy as np

import aiotune


class Waits(aiotune.RandomSearch):
    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        if epoch == 3 and "on" not in sys.argv:
            threading.Event().wait(100)


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(hp.Int("units", 2, 9)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


x = np.random.default_rng(0).random((64, 4), dtype="float32")
tuner = Waits(
    build, "loss", max_trials=1, seed=0, directory=sys.argv[1], project_name="p", resume_every=0
)
result = asyncio.run(tuner.search(x, x.sum(axis=1), epochs=8))
assert result.counts == {"COMPLETED": 1}, result
assert result.trials[0].history[-1][1] == 7, result.trials[0].history
