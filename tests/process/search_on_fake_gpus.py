"""A search on two GPUs that a stand-in for NVIDIA's library tells of; one may fall off the bus, or never work."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import aiotune
from aiotune_gpu.fake_driver import LOST, FakeDriver, FakeGpu

A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"


class Sees(aiotune.RandomSearch):
    """Each trial writes down where it is; the first one on B takes B away, and waits to be ended."""

    folder = Path()

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        seen = os.environ["CUDA_VISIBLE_DEVICES"]
        with (self.folder / "seen.jsonl").open("a") as file:
            file.write(json.dumps([trial.trial_id, seen]) + "\n")
        if seen == B and kwargs.get("break_b"):
            FakeDriver(Path(os.environ["FAKE_NVML_STATE"]), [FakeGpu(A), FakeGpu(B, lost=LOST)])
            threading.Event().wait()
        if kwargs.get("spin") and trial.trial_id == "0":
            oracle: Any = self.oracle  # within a trial its update_trial is no coroutine
            oracle.update_trial(trial.trial_id, {"default_objective": 1.0})
            spin(30.0)
        return x


def spin(seconds: float) -> None:
    """Wait as CUDA does: ask again and again, printing nothing."""
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        pass


def main() -> None:
    folder, how = Path(sys.argv[1]), sys.argv[2]
    FakeDriver(Path(os.environ["FAKE_NVML_STATE"]), [FakeGpu(A), FakeGpu(B)])
    tuner = Sees(
        max_trials=8,
        seed=0,
        directory=folder,
        project_name="p",
        gpu_memory="3 GiB",
        max_trials_per_gpu=2,
        stop_grace=1.0,
        stall_timeout=4.0 if how == "spin" else None,
    )
    tuner.folder = folder
    result = asyncio.run(tuner.search(break_b=how == "break", spin=how == "spin", verbose=0))
    sys.stdout.write(json.dumps([str(t.status) for t in result.trials]) + "\n")


if __name__ == "__main__":
    main()
