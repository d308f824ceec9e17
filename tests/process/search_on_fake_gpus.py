"""A search on two GPUs that a stand-in for NVIDIA's library tells of; one of them may fall off the bus."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
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
        return x


def main() -> None:
    folder, break_b = Path(sys.argv[1]), sys.argv[2] == "break"
    FakeDriver(Path(os.environ["FAKE_NVML_STATE"]), [FakeGpu(A), FakeGpu(B)])
    tuner = Sees(
        max_trials=8,
        seed=0,
        directory=folder,
        project_name="p",
        gpu_memory="3 GiB",
        max_trials_per_gpu=2,
        stop_grace=1.0,
    )
    tuner.folder = folder
    result = asyncio.run(tuner.search(break_b=break_b, verbose=0))
    sys.stdout.write(json.dumps([str(t.status) for t in result.trials]) + "\n")


if __name__ == "__main__":
    main()
