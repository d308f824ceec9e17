"""How many trials that do nothing end per second, in processes of their own or inline, journal on?"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import report, summary

import aiotune


class Noop(aiotune.RandomSearch):
    """Ten mixed hyperparameters, no work."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        hp = trial.hyperparameters
        for i in range(4):
            hp.Float(f"float_{i}", 1e-4, 1.0, sampling="log")
        for i in range(3):
            hp.Int(f"int_{i}", 1, 1000)
        for i in range(2):
            hp.Choice(f"choice_{i}", ["a", "b", "c"])
        hp.Boolean("flag")
        return float(hp.get("float_0"))


class KerasNoop(Noop):
    """The same in a worker whose process holds keras."""

    uses = "keras"

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        import keras  # what makes the nursery import it

        assert keras.__version__
        return super().run_trial(trial, *args, **kwargs)


def rate(kind: type[Noop], trials: int, parallel: int, executor: Any) -> dict[str, float]:
    """Return trials per second of one whole search, and of its first and last tenth."""
    ends: list[float] = []

    class Timed(kind):  # type: ignore[misc, valid-type]
        def on_trial_end(self, trial: aiotune.Trial) -> None:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        tuner = Timed(
            max_trials=trials,
            seed=0,
            directory=directory,
            project_name="noop",
            max_parallel_trials=parallel,
            executor=executor,
        )
        started = time.perf_counter()
        asyncio.run(tuner.search(verbose=0))
        whole = time.perf_counter() - started
    tenth = max(2, trials // 10)
    return {
        "whole": trials / whole,
        "steady": (len(ends) - 1) / (ends[-1] - ends[0]),
        "first tenth": (tenth - 1) / (ends[tenth - 1] - ends[0]),
        "last tenth": (tenth - 1) / (ends[-1] - ends[-tenth]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="repeats")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--inline-trials", type=int, default=10000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    cases: dict[str, tuple[type[Noop], int, int, Any]] = {
        "processes, no keras, 2 at once": (Noop, options.trials, 2, "local"),
        "processes, nursery holds keras, 2 at once": (KerasNoop, options.trials, 2, "local"),
        "inline, 1 in flight": (Noop, options.inline_trials // 5, 1, "inline"),
        "inline, 64 in flight": (Noop, options.inline_trials, 64, "inline"),
    }
    results: dict[str, Any] = {}
    for name, case in cases.items():
        if options.only and options.only not in name:
            continue
        runs = [rate(*case) for _ in range(options.n)]
        results[name] = {part: summary([run[part] for run in runs], "trials/s") for part in runs[0]}
    report(__doc__ or "", results, not_measured="trials that train; other disks; other core counts")


if __name__ == "__main__":
    main()
