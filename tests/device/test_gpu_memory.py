"""Memory on a real GPU: a trial is held to its lease, climbs, shares, and is refused in time.

Needs an NVIDIA GPU and a back end with CUDA; choose it with KERAS_BACKEND=jax or torch.
Run with: pytest -m gpu tests/device/test_gpu_memory.py
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.events import AttemptEnded, AttemptStarted, Event
from aiotune.failures import FailureKind, MemoryCause
from aiotune.status import TrialStatus
from aiotune.store import Layout, read_events

pytestmark = pytest.mark.gpu

GIB = 1 << 30
PIECE = 256 << 20


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose JAX unless something else is asked for."""
    chosen = os.environ.get("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_BACKEND", chosen)
    return chosen


def allocate(size: int) -> Any:
    if os.environ["KERAS_BACKEND"] == "torch":
        import torch

        return torch.ones(size // 4, device="cuda")
    import jax
    import jax.numpy as jnp

    return jax.block_until_ready(jnp.ones(size // 4, "float32"))


class TakesThreeGib(aiotune.RandomSearch):
    """Each trial allocates 3 GiB, piece by piece."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        held = [allocate(PIECE) for _ in range(3 * GIB // PIECE)]
        return float(len(held) + trial.hyperparameters.Float("x", 0.0, 1.0))


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    units = hp.Int("units", 64, 512, step=64)
    hidden = [keras.layers.Dense(units, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def build_too_large(hp: aiotune.HyperParameters) -> Any:
    import keras

    units = 1 << hp.Int("log_units", 19, 20)
    model = keras.Sequential([keras.Input((units,)), keras.layers.Dense(units)])
    model.compile("sgd", "mse")
    return model


def events_of(tuner: aiotune.Tuner) -> list[Event]:
    return read_events(Layout(tuner.directory, tuner.project_name))


def most_together(events: list[Event]) -> int:
    now = most = 0
    for event in events:
        now += isinstance(event, AttemptStarted) - isinstance(event, AttemptEnded)
        most = max(most, now)
    return most


def test_a_trial_is_held_to_its_lease_and_then_given_more(tmp_path: Path) -> None:
    """Its first attempt runs out within 2 GiB although the GPU has more; a later one completes."""
    tuner = TakesThreeGib(
        max_trials=1, seed=0, gpu_memory="2GiB", directory=tmp_path, project_name="held"
    )

    result = asyncio.run(tuner.search(verbose=0))

    events = events_of(tuner)
    given = [e.reservation for e in events if isinstance(e, AttemptStarted)]
    failures = [e.failure for e in events if isinstance(e, AttemptEnded) and e.failure]
    assert result.trials[0].status is TrialStatus.COMPLETED
    assert given[0] == 2 * GIB
    assert given == sorted(set(given))
    assert {failure.kind for failure in failures} == {FailureKind.OUT_OF_MEMORY}
    assert failures[0].memory is not None
    assert failures[0].memory.cause is MemoryCause.DEVICE
    assert (failures[0].memory.limit or 0) < 2 * GIB


def test_trials_share_a_gpu_and_stay_within_their_leases(tmp_path: Path) -> None:
    """Several run at once; each tells its peak, which is no more than it was given."""
    tuner = aiotune.RandomSearch(
        build,
        objective="loss",
        max_trials=8,
        seed=0,
        max_trials_per_gpu=4,
        directory=tmp_path,
        project_name="shared",
    )
    x = np.random.default_rng(0).random((4096, 64), dtype="float32")

    result = asyncio.run(tuner.search(x, x[:, :1], epochs=4, verbose=0))

    events = events_of(tuner)
    given = {e.attempt_id: e.reservation for e in events if isinstance(e, AttemptStarted)}
    ended = [e for e in events if isinstance(e, AttemptEnded)]
    assert {trial.status for trial in result.trials} == {TrialStatus.COMPLETED}
    assert most_together(events) > 1
    assert all(e.peak is not None for e in ended)
    assert all(0 < e.peak.reserved <= given[e.attempt_id] for e in ended if e.peak is not None)


def test_a_model_that_fits_no_gpu_never_gets_one(tmp_path: Path) -> None:
    """Its variables alone are a terabyte or more: it is refused before an attempt begins."""
    tuner = aiotune.RandomSearch(
        build_too_large,
        objective="loss",
        max_trials=1,
        seed=0,
        directory=tmp_path,
        project_name="refused",
    )
    width = 1 << 19
    x = np.zeros((1, width), "float32")

    result = asyncio.run(tuner.search(x, x, epochs=1, verbose=0))

    (trial,) = result.trials
    assert trial.status is TrialStatus.REJECTED
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.OVERSIZED
    assert not [e for e in events_of(tuner) if isinstance(e, AttemptStarted)]
