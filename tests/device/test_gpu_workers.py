"""Workers on a real GPU: the nursery holds no context, a worker sees its own device and trains on it.

Needs an NVIDIA GPU and a back end with CUDA; choose it with KERAS_BACKEND=jax or torch.
Run with: pytest -m gpu tests/device
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune._devices import Wanted, find_resources
from aiotune.memory import MemoryLimit
from aiotune.status import TrialStatus
from aiotune_gpu import Lease

pytestmark = pytest.mark.gpu

BACKEND = os.environ.get("KERAS_BACKEND", "jax")


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential(
        [
            keras.Input((32,)),
            keras.layers.Dense(hp.Int("units", 16, 128), activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-2, sampling="log")), "mse")
    return model


class SeesDevice(aiotune.RandomSearch):
    """Trains, and reports what the worker sees as metrics."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
        (history,) = super().run_trial(trial, *args, **kwargs)
        metrics = {name: values[-1] for name, values in history.history.items()}
        if os.environ["KERAS_BACKEND"] == "torch":
            import torch

            metrics["visible"] = torch.cuda.device_count()
            metrics["bytes"] = torch.cuda.max_memory_allocated()
        else:
            import jax

            gpus = [d for d in jax.devices() if d.platform != "cpu"]
            metrics["visible"] = len(gpus)
            metrics["bytes"] = gpus[0].memory_stats()["peak_bytes_in_use"]
        return metrics


def search(tmp_path: Path, trials: int = 6) -> tuple[aiotune.SearchResult, SeesDevice]:
    import asyncio

    import numpy as np

    os.environ["KERAS_BACKEND"] = BACKEND
    tuner = SeesDevice(
        build,
        objective="loss",
        max_trials=trials,
        seed=0,
        directory=tmp_path,
        project_name="gpu",
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((512, 32), dtype="float32"), rng.random((512, 1), dtype="float32")
    return asyncio.run(tuner.search(x, y, epochs=2, verbose=0)), tuner


def test_the_driver_names_the_devices() -> None:
    """NVML lists the host's GPUs with UUID, model and memory; a lease of one becomes a place on it."""
    resources = find_resources(Wanted(max_trials_per_gpu=1))

    assert resources.most == len(resources.devices) >= 1
    for device in resources.devices:
        assert device.uuid.startswith(("GPU-", "MIG-"))
        assert device.total_bytes > 1 << 30
        place = resources.place(Lease(0, "trial", (device.uuid,), 1 << 30), context=1 << 29)
        assert place.environment["CUDA_VISIBLE_DEVICES"] == device.uuid
        assert place.limit == MemoryLimit(bytes=1 << 29, device_total=device.total_bytes)


def test_workers_train_on_the_gpu_they_are_given(tmp_path: Path) -> None:
    """Every trial completes on a GPU, sees just that one, and used its memory."""
    result, _ = search(tmp_path)

    assert {t.status for t in result.trials} == {TrialStatus.COMPLETED}
    for trial in result.trials:
        assert trial.devices
        assert trial.devices[0].startswith(("GPU-", "MIG-"))
        assert trial.metrics.get_best_value("visible") == 1
        assert (trial.metrics.get_best_value("bytes") or 0) > 0


def test_the_nursery_is_used_and_holds_no_context(tmp_path: Path) -> None:
    """Workers were forked, not started afresh: importing the back end touched no device."""
    import json

    search(tmp_path)

    events = [json.loads(line) for line in (tmp_path / "gpu/events.log").read_text().splitlines()]
    names = [event["event"] for event in events]
    assert "nursery_ready" in names
    assert "nursery_failed" not in names


def test_the_memory_is_free_again_afterwards(tmp_path: Path) -> None:
    """When search() has returned, no process of its holds memory on the device."""
    import aiotune_gpu as gpu

    provider = gpu.NvmlProvider()
    before = {d.uuid: provider.memory(d.uuid).used for d in provider.devices()}

    search(tmp_path)

    after = {d.uuid: provider.memory(d.uuid).used for d in provider.devices()}
    provider.close()
    assert all(after[uuid] - before[uuid] < 64 << 20 for uuid in before)
