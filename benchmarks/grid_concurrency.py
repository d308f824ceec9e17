"""How much of a 64-point grid do four workers spend with four trials running?

The space is given, as a model's is known from its first build. A trial waits for
some seconds and does nothing else: four of them do not compete for two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _report import report, summary

import aiotune

WORKERS = 4


class Waiting(aiotune.GridSearch):
    """Sixty-four combinations: a in 1..16, and b in 1..4."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        began = time.monotonic()
        hp = trial.hyperparameters
        a, b = hp.Int("a", 1, 16), hp.Int("b", 1, 4)
        threading.Event().wait(random.Random(100 * a + b).uniform(0.8, 1.2) * kwargs["seconds"])
        path = Path(kwargs["spans"]) / trial.trial_id
        path.write_text(f"{began} {time.monotonic()}")
        return float(a * b)


def spans_of_a_search(seconds: float) -> list[tuple[float, float]]:
    """Run the grid once; return when each trial's own code began and ended."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        spans = Path(directory) / "spans"
        spans.mkdir()
        space = aiotune.HyperParameters()
        space.Int("a", 1, 16)
        space.Int("b", 1, 4)
        tuner = Waiting(
            hyperparameters=space,
            directory=directory,
            project_name="grid",
            max_parallel_trials=WORKERS,
            seed=0,
        )
        asyncio.run(tuner.search(spans=str(spans), seconds=seconds, verbose=0))
        read = [path.read_text().split() for path in spans.iterdir()]
    return [(float(began), float(ended)) for began, ended in read]


def shares(spans: list[tuple[float, float]]) -> dict[str, float]:
    """Return the share of time with all workers at it, and the mean number at it."""
    moments = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    running, full, area = 0, 0.0, 0.0
    for (at, change), (following, _) in itertools.pairwise(moments):
        running += change
        full += (following - at) * (running == WORKERS)
        area += (following - at) * running
    whole = moments[-1][0] - moments[0][0]
    return {"whole": full / whole, "mean": area / whole}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="repeats")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a trial, on average")
    options = parser.parse_args()
    runs = [spans_of_a_search(options.seconds) for _ in range(options.n)]
    assert all(len(run) == 64 for run in runs), [len(run) for run in runs]
    found = [shares(run) for run in runs]
    report(
        __doc__ or "",
        {
            "share of the whole search with 4 trials' own code running": summary(
                [f["whole"] for f in found], "1"
            ),
            "mean number of trials running": summary([f["mean"] for f in found], "trials"),
        },
        not_measured="trials that compete for cores; models; KerasTuner, which runs one at a time",
    )


if __name__ == "__main__":
    main()
