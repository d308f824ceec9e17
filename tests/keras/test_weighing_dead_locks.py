"""A model whose build dead-locks in native code while it is weighed."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune import _search
from aiotune.scheduler import Deadlines

pytestmark = pytest.mark.keras


class LocksWhileWeighed(aiotune.HyperModel):
    """Locks a mutex twice, the interpreter held, in the first process that builds it with ``locks``."""

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = marker

    def build(self, hp: Any) -> Any:
        import keras

        if hp.Choice("locks", [0, 1]) and not self.marker.exists():
            self.marker.touch()
            libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model


async def test_a_weighing_that_dead_locks_costs_neither_its_trial_nor_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said with the stacks, its process is gone, and both trials are completed."""
    monkeypatch.setattr(_search, "WEIGHING", Deadlines(silent=4.0, total=60.0))
    tuner = aiotune.GridSearch(
        LocksWhileWeighed(tmp_path / "marker"), "loss", directory=tmp_path, project_name="p"
    )
    x, y = np.zeros((8, 2), "float32"), np.zeros((8, 1), "float32")

    result = await tuner.search(x, y, epochs=1, verbose=0)

    lines = map(json.loads, (tmp_path / "p" / "events.log").read_text().splitlines())
    seen = [entry for entry in lines if entry["event"] in {"weighing_stalled", "trial_completed"}]
    (told,) = [entry for entry in seen if entry["event"] == "weighing_stalled"]
    assert [str(trial.status) for trial in result.trials] == ["COMPLETED"] * 2
    assert "in build" in told["stacks"]
    assert "no sign of life" in told["why"]
    assert told["ended"]
    assert told["trial"] == seen[-1]["trial"], "the other one went on meanwhile"
