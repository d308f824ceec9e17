"""Weighing as it happens in a search: in a forked worker that sees no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.executors import LocalExecutor, WorkSpec
from aiotune.failures import FailureKind
from aiotune.hyperparameters import Int, draw, serialize
from aiotune.testing._processes import Ran, run_order
from aiotune.wire import Failed, Hello, Payload, RunWeighing, Weighed

pytestmark = pytest.mark.keras

UNITS = Int("units", 10, 100)


class Asks(aiotune.HyperModel):
    def build(self, hp: Any) -> Any:
        import keras

        units = hp.Int("units", 10, 100)
        layers = [keras.layers.Dense(units * 1000) for _ in range(hp.Int("layers", 10, 10))]
        model = keras.Sequential(layers)
        model.compile("adam", "mse")
        return model


def order(directory: Path, name: str, **changes: Any) -> WorkSpec:
    facts: dict[str, Any] = {
        "trial_id": name,
        "index": 3,
        "seed": 7,
        "stream": 1,
        "space": {"space": [serialize(UNITS)], "values": {}},
        "objective": [{"name": "val_loss", "direction": "min"}],
        "budget": {},
        "environment": {"CUDA_VISIBLE_DEVICES": "-1"},
        "threads": 1,
    }
    facts.update(changes)
    return WorkSpec(RunWeighing(**facts), f"{name}-01-0", directory / f"{name}.log")


async def ran(tmp_path: Path, **orders: dict[str, Any]) -> dict[str, Ran]:
    tuner = aiotune.RandomSearch(Asks(), "val_loss", max_trials=1, directory=tmp_path / "project")
    data = (np.zeros((64, 100_000), "float32"), np.zeros((64, 1), "float32"))
    executor = await LocalExecutor.start(Payload(tuner, data, {"batch_size": 16}))
    try:
        return {
            name: await run_order(executor, order(tmp_path, name, **changes))
            for name, changes in orders.items()
        }
    finally:
        await executor.aclose()


async def test_a_forked_worker_weighs_and_refuses(tmp_path: Path) -> None:
    """The answer is the only thing said; a refusal carries what was discovered, and exits 1."""
    known = {"space": {"space": [serialize(UNITS)], "values": {"units": 100}}}

    found = await ran(tmp_path, small={}, huge={**known, "max_bytes": 80 << 30})

    small, huge = found["small"], found["huge"]
    assert [type(m) for m in small.messages] == [Hello, Weighed]
    assert small.ending.exit_code == 0
    units = draw(UNITS, seed=7, index=3, stream=1)
    assert small.last.values == {"units": units, "layers": 10}
    n = 1000 * int(units)
    assert small.last.size.parameters == (100_000 + 9 * n) * n + 10 * n
    assert [entry["config"]["name"] for entry in small.last.entries] == ["layers"]

    assert [type(m) for m in huge.messages] == [Hello, Failed]
    assert huge.ending.exit_code == 1
    assert huge.last.failure.kind is FailureKind.OVERSIZED
    assert "80.00 GiB that a trial can have here" in huge.last.failure.message
    assert huge.last.values == {"units": 100, "layers": 10}
    assert not (tmp_path / "project").exists()
