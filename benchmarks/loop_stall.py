"""What is the longest time that a search keeps the event loop from other tasks?

A task beside the search sleeps one millisecond at a time and records how late it wakes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import report, summary

import aiotune


class Work(aiotune.RandomSearch):
    """A trial of some milliseconds with a large array among its arguments."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        time.sleep(0.005)  # noqa: TID251 - stands for work
        return x


async def watched(tuner: aiotune.Tuner, data: Any) -> list[float]:
    """Run a search and return how late each wake-up was, in milliseconds."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - due) * 1e3)

    watcher = asyncio.ensure_future(watch())
    try:
        await tuner.search(data, verbose=0)
    finally:
        watcher.cancel()
    return late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("-n", type=int, default=5)
    options = parser.parse_args()
    data = np.zeros(options.megabytes << 20, dtype="uint8")
    longest = []
    everything: list[float] = []
    for _ in range(options.n):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
            tuner = Work(max_trials=options.trials, seed=0, directory=directory, project_name="w")
            late = asyncio.run(watched(tuner, data))
        longest.append(max(late))
        everything += late
    results = {"longest of a run": summary(longest, "ms"), "all": summary(everything, "ms")}
    report(__doc__ or "", results, not_measured="stalls caused by the machine's other load")


if __name__ == "__main__":
    main()
