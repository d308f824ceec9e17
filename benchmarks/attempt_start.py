"""How long is a slot idle: from its being free until the next trial's own code runs?

The clock is CLOCK_MONOTONIC, the same in all processes of the machine. A slot
is free when the attempt before it has been reaped; the parent's log of that
moment is compared with the time that the next trial's code writes down.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import report, summary

import aiotune


class Stamp(aiotune.RandomSearch):
    """Each trial returns the time at which its code began."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        began = time.monotonic()
        trial.hyperparameters.Float("x", 0.0, 1.0)
        return began


class KerasStamp(Stamp):
    """The same from a nursery that holds keras."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        began = time.monotonic()
        import keras  # what makes the nursery import it

        assert keras.__version__
        trial.hyperparameters.Float("x", 0.0, 1.0)
        return began


def gaps(kind: type[Stamp], trials: int) -> list[float]:
    """Return, for each trial but the first, the seconds its slot had been free."""
    ended: list[float] = []

    class Timed(kind):  # type: ignore[misc, valid-type]
        def on_trial_end(self, trial: aiotune.Trial) -> None:
            ended.append(time.monotonic())

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        tuner = Timed(
            max_trials=trials,
            seed=0,
            directory=directory,
            project_name="start",
            max_parallel_trials=1,
        )
        result = asyncio.run(tuner.search(verbose=0))
    began = [trial.score for trial in result.trials]
    return [later - earlier for earlier, later in zip(ended, began[1:], strict=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    results = {
        "no keras": summary([g * 1e3 for g in gaps(Stamp, options.trials)], "ms"),
        "nursery holds keras": summary([g * 1e3 for g in gaps(KerasStamp, options.trials)], "ms"),
    }
    report(
        __doc__ or "",
        results,
        not_measured="the time from the last result to the reap; payloads of many gigabytes",
    )


if __name__ == "__main__":
    main()
