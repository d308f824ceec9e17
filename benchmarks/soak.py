"""Does a search of 10,000 real processes leak descriptors, threads, zombies or memory?

One search of trials that do nothing, each in a process of its own, journal on. The
tuner's own process is looked at after every hundredth trial.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import report

import aiotune


class Noop(aiotune.RandomSearch):
    """No work; and a look at this process now and then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.looks: list[dict[str, float]] = []
        self.ended = 0

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))

    def on_trial_end(self, trial: aiotune.Trial) -> None:
        self.ended += 1
        if self.ended % 100 == 0:
            self.looks.append({"trials": self.ended, **look()})

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "looks"}


def look() -> dict[str, float]:
    """Return what this process holds now."""
    gc.collect()
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - what is counted
        "threads": int(status["Threads"]),
        "zombies": zombies(),
        "rss_mib": int(status["VmRSS"].split()[0]) / 1024,
    }


def zombies() -> int:
    """Count the dead children that nobody has reaped."""
    count = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue  # reaped meanwhile
            count += state == "Z"
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--parallel", type=int, default=2)
    options = parser.parse_args()
    before = look()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        tuner = Noop(
            max_trials=options.trials,
            seed=0,
            directory=directory,
            project_name="soak",
            max_parallel_trials=options.parallel,
        )
        started, spent = time.perf_counter(), time.process_time()
        result = asyncio.run(tuner.search(verbose=0))
        seconds, spent = time.perf_counter() - started, time.process_time() - spent
    assert result.counts == {"COMPLETED": options.trials}, result.counts
    after = look()
    first = next(x for x in tuner.looks if x["trials"] >= min(1000, options.trials // 2))
    last = tuner.looks[-1]
    report(
        __doc__ or "",
        {
            "before the search": before,
            "after it": after,
            "after 1,000 trials": first,
            "at its last trials": last,
            "most descriptors": max(x["descriptors"] for x in tuner.looks),
            "growth of memory since 1,000 trials, MiB": round(
                last["rss_mib"] - first["rss_mib"], 1
            ),
            "trials a second": round(options.trials / seconds, 1),
            "CPU of the tuner's own process, ms a trial": round(spent / options.trials * 1e3, 2),
        },
        not_measured="trials with a back end; GPUs",
    )


if __name__ == "__main__":
    main()
