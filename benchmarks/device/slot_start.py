"""How long is the device idle: from a trial's end until the next one's code runs, and until it trains?

The clock is CLOCK_MONOTONIC, the same in all processes of the machine.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import _backend
import numpy as np
from _lab import Lab, begin

import aiotune

MOMENTS = ("code", "device", "trained")


class Stamps(aiotune.RandomSearch):
    """Each trial returns when its code began, when it had the device and when it had trained."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Stamp, take the device, stamp, train, stamp."""
        stamps = {"code": time.monotonic()}
        _backend.touch()
        stamps["device"] = time.monotonic()
        (history,) = super().run_trial(trial, *args, **kwargs)
        return stamps | {"trained": time.monotonic(), "loss": history.history["loss"][-1]}


def build(hp: aiotune.HyperParameters) -> Any:
    """Return the small model."""
    return _backend.small_model(hp.Int("units", 16, 256))


def measure(lab: Lab, trials: int) -> dict[str, list[float]]:
    """Return seconds since the slot was free, for each moment of all trials but the first."""
    ended: list[float] = []

    class Timed(Stamps):
        def on_trial_end(self, trial: aiotune.Trial) -> None:
            ended.append(time.monotonic())

    rng = np.random.default_rng(0)
    x, y = rng.random((256, 16, 16, 3), "float32"), rng.random((256, 1), "float32")
    with tempfile.TemporaryDirectory() as directory:
        tuner = Timed(
            build,
            objective="loss",
            max_trials=trials,
            seed=0,
            directory=Path(directory),
            project_name="start",
            max_parallel_trials=1,
            max_trials_per_gpu=1,
            devices=[] if lab.dry else [lab.device.uuid],
        )
        result = asyncio.run(tuner.search(x, y, batch_size=64, epochs=1, verbose=0))
    lab.data["statuses"] = result.counts
    stamps = sorted(
        [trial.metrics.get_best_value(moment) or 0.0 for moment in MOMENTS]
        for trial in result.trials
    )
    # In the order in which they ran, which need not be that in which they were proposed.
    since = [[stamp - free for stamp in row] for free, row in zip(ended, stamps[1:], strict=False)]
    return dict(zip(MOMENTS, map(list, zip(*since, strict=True)), strict=True))


def main() -> None:
    lab, options = begin(__doc__, forks=False, trials=16)
    rows = measure(lab, 4 if lab.dry else options.trials)
    lab.data["seconds"] = rows
    for moment, seconds in rows.items():
        text = f"{statistics.median(seconds):.3f} (worst {max(seconds):.3f})"
        lab.find(f"seconds until {moment}, median", text)
    lab.find("trials", lab.data["statuses"], set(lab.data["statuses"]) == {"COMPLETED"})
    lab.report("slots of a device that others share; payloads of many gigabytes")


if __name__ == "__main__":
    main()
