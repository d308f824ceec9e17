"""A search of a function that takes its time; killed and run again by a test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import aiotune


class Slow(aiotune.RandomSearch):
    """Leaves a daemon of its own behind in each trial."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        subprocess.Popen(["sleep", "60"], start_new_session=True)
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        time.sleep(0.05)  # noqa: TID251 - stands for work
        return x * x


tuner = Slow(
    max_trials=int(sys.argv[2]),
    seed=7,
    directory=sys.argv[1],
    project_name="p",
    max_parallel_trials=3,
)
result = asyncio.run(tuner.search(verbose=0))
print(len(result.trials))  # noqa: T201 - read by the test
