"""A search on two GPUs; the first trial on the second one lets that GPU's driver hang, and hangs itself."""

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
from aiotune_gpu.fake_driver import FakeDriver, FakeGpu

A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"


class Hangs(aiotune.RandomSearch):
    """Each trial writes down where and when it is."""

    folder = Path()

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        seen = os.environ["CUDA_VISIBLE_DEVICES"]
        with (self.folder / "seen.jsonl").open("a") as file:
            file.write(json.dumps([seen, time.monotonic()]) + "\n")
        if seen == B:
            FakeDriver(Path(os.environ["FAKE_NVML_STATE"]), [FakeGpu(A), FakeGpu(B, hangs=True)])
            threading.Event().wait()
        return x


def main() -> None:
    folder = Path(sys.argv[1])
    FakeDriver(Path(os.environ["FAKE_NVML_STATE"]), [FakeGpu(A), FakeGpu(B)])
    tuner = Hangs(
        max_trials=10_000,
        seed=0,
        directory=folder,
        project_name="p",
        gpu_memory="3 GiB",
        max_trials_per_gpu=1,
        stop_grace=1.0,
    )
    tuner.folder = folder
    asyncio.run(tuner.search(verbose=0))


if __name__ == "__main__":
    main()
