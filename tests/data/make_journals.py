"""Makes a journal that all later versions must go on reading, with what its search saw: once for each form.

    PYTHONPATH=<a checkout of the version> python - tests/data/journals/<name> < tests/data/make_journals.py

It is read from standard input, so that no traceback in a journal names where somebody's checkout is.

A journal that is there is never made again: that a version of today writes the same is no
proof that it reads what an older one wrote.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiotune
from aiotune.errors import FailedTrialError, FatalError
from aiotune.store import _journal


class Search(aiotune.RandomSearch):
    """Trials that end in every way there is, the last one by ending the search."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> Any:
        hp = trial.hyperparameters
        x = hp.Float("x", 1e-4, 1.0, sampling="log")
        if hp.Boolean("tief"):
            hp.Int("größe", 1, 9)
        hp.Choice("kind", ["a\tb", "学习率", "\\"])
        match trial.trial_id:
            case "1":
                raise ValueError(f"x = {x}\n\x1b[31m is too small")
            case "2":
                return float("nan")
            case "4":
                raise FailedTrialError("never again")
            case "6":
                raise FatalError("the data are gone")
            case _:
                pass
        return {"loss": x, "share": float("inf")}


def seen(trials: list[Any]) -> list[dict[str, Any]]:
    """Return what a search knows of its trials."""
    return [
        {
            "trial_id": trial.trial_id,
            "status": str(trial.status),
            "score": trial.score,
            "best_step": trial.best_step,
            "values": dict(trial.hyperparameters.values),
            "attempts": trial.attempts,
            "failures": trial.failures,
            "error": None if trial.failure is None else trial.failure.summary(),
        }
        for trial in trials
    ]


def make(folder: Path) -> None:
    """Search, and keep the journal with what was seen."""
    _journal.SEGMENT_BYTES = 2500
    with tempfile.TemporaryDirectory() as scratch:
        tuner = Search(
            objective=aiotune.Objective("loss", "min"), max_trials=8, seed=11, max_retries_per_trial=1,
            max_consecutive_failed_trials=None, directory=scratch, project_name="p",
            max_parallel_trials=1, executor="inline",
        )  # fmt: skip
        try:
            asyncio.run(tuner.search(verbose=0))
        except FatalError:
            trials = [tuner.oracle.trials[key] for key in sorted(tuner.oracle.trials)]
        else:
            raise SystemExit("The search should have ended with a FatalError.")
        source = Path(scratch) / "p" / "journal"
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.snapshot", "*.bin"))
    (folder / "seen.json").write_text(
        json.dumps({"version": aiotune.__version__, "trials": seen(trials)}, indent=1) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
