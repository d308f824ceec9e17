"""Workers that train real models: forked from a process that has imported keras."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import attempt_order, run_order
from aiotune.wire import Payload

pytestmark = pytest.mark.keras


class _Log:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}

    def info(self, event: str, **fields: Any) -> None:
        self.events[event] = fields

    warning = info


def _threads() -> int:
    """Return how many threads the back end may use for one operation."""
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        return int(tensorflow.config.threading.get_intra_op_parallelism_threads())
    if (torch := sys.modules.get("torch")) is not None:
        return int(torch.get_num_threads())
    return 1  # JAX has no such setting; it follows the processors that it may use


class _Fits:
    """Trains a model of three parameters on data that it can learn."""

    def run_trial(self, trial: Any, x: Any) -> dict[str, float]:
        import keras

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        losses = model.fit(x, x.sum(axis=1), epochs=3, verbose=0).history["loss"]
        return {"score": losses[-1], "first": losses[0], "threads": float(_threads())}


async def test_forks_of_a_nursery_with_keras_train(tmp_path: Path) -> None:
    """The self-test passes, and several forked workers in turn and at once learn."""
    log = _Log()
    x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    executor = await LocalExecutor.start(Payload(_Fits(), (x,)), log=log)

    try:
        runs = [
            await run_order(executor, attempt_order(tmp_path, index=index)) for index in range(3)
        ]
    finally:
        await executor.aclose()

    assert "keras" in log.events["nursery_ready"]["imported"]
    assert "nursery_failed" not in log.events
    for ran in runs:
        assert ran.said == ["Hello", "Done"], ran.log
        assert ran.last.metrics["score"] < ran.last.metrics["first"]
        assert ran.last.metrics["threads"] == 1.0


async def test_fresh_interpreter_with_keras_trains(tmp_path: Path) -> None:
    """Where forks are not wanted, a waiting interpreter trains as well."""
    x = np.ones((8, 2), dtype="float32")
    executor = LocalExecutor(Payload(_Fits(), (x,)), start="spawn")

    try:
        ran = await run_order(executor, attempt_order(tmp_path))
    finally:
        await executor.aclose()

    assert ran.said == ["Hello", "Done"], ran.log
