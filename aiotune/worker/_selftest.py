"""Runs a tiny model in a forked worker: does a fork of the nursery work on this machine?"""

from __future__ import annotations

from typing import Any

from aiotune.wire import Probed
from aiotune.worker._cpu import on_the_cpu

__all__ = ("run_self_test",)

_SAMPLES, _FEATURES, _EPOCHS = 8, 2, 2


def run_self_test() -> Probed:
    """Build, compile and fit a model of three parameters on the CPU.

    A fork that is not safe shows here as a hang, a crash or a wrong loss. Some back
    ends of Keras only predict; then so does the test, since no trial does more.

    Raises:
        RuntimeError: The loss, or what was predicted, is not a finite number.
    """
    import keras
    import numpy as np

    x = np.linspace(-1.0, 1.0, _SAMPLES * _FEATURES, dtype="float32").reshape(_SAMPLES, _FEATURES)
    y = x.sum(axis=1, keepdims=True)
    with on_the_cpu():
        model = keras.Sequential([keras.Input((_FEATURES,)), keras.layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        numbers = _losses(model, x, y)
    if len(numbers) == 0 or not np.all(np.isfinite(numbers)):
        raise RuntimeError(f"The losses of {_EPOCHS} epochs, or the predictions, are {numbers}.")
    return Probed(entries=[], values={}, parameters=int(model.count_params()))


def _losses(model: Any, x: Any, y: Any) -> Any:
    """Return the loss of each epoch, or what the model predicts where it cannot be trained."""
    try:
        history = model.fit(x, y, batch_size=4, epochs=_EPOCHS, verbose=0).history
    except NotImplementedError:
        return model.predict(x, verbose=0)
    losses = history["loss"]
    return losses if len(losses) == _EPOCHS else []
