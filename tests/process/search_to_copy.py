"""A search of one trial that waits to be told its score; its project is copied meanwhile by a test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiotune


class Told(aiotune.RandomSearch):
    """Starts a daemon of its own, then reads its score from a pipe."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **_: Any) -> float:
        trial.hyperparameters.Float("x", 0.0, 1.0)
        subprocess.Popen(["sleep", "60"], start_new_session=True)
        with Path(args[0]).open() as pipe:
            return float(pipe.read())


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    tuner = Told(max_trials=1, seed=7, directory=directory, project_name="p", devices=[])
    result = asyncio.run(tuner.search(str(directory / "score"), verbose=0))
    print(result.best_score)  # noqa: T201 - read by the test
