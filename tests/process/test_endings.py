"""What each ending of a worker is recorded as: real processes in one real search."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiotune
from aiotune.errors import FailedTrialError
from aiotune.failures import FailureKind

KIND = FailureKind


def _raise(error: BaseException) -> None:
    raise error


def _die_in_the_last_flush() -> None:
    """Let the worker die after its result was written down and sent."""

    class Stream:
        def write(self, text: str) -> int:
            return len(text)

        def flush(self) -> None:
            os.kill(os.getpid(), signal.SIGSEGV)

    sys.stdout = Stream()


def _kill(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


ENDINGS: list[tuple[str, Callable[[], Any], FailureKind | None]] = [
    ("a result", lambda: None, None),
    ("a result, then SIGSEGV", _die_in_the_last_flush, None),
    ("os._exit(0) without a result", lambda: os._exit(0), KIND.EXITED),
    ("an exception", lambda: _raise(ValueError("no")), KIND.ERROR),
    ("sys.exit()", sys.exit, KIND.EXITED),
    ("sys.exit(3)", lambda: sys.exit(3), KIND.EXITED),
    ("sys.exit('why')", lambda: sys.exit("why"), KIND.EXITED),
    ("SIGSEGV", _kill(signal.SIGSEGV), KIND.CRASHED),
    ("SIGBUS", _kill(signal.SIGBUS), KIND.CRASHED),
    ("SIGFPE", _kill(signal.SIGFPE), KIND.CRASHED),
    ("SIGILL", _kill(signal.SIGILL), KIND.CRASHED),
    ("SIGABRT", os.abort, KIND.CRASHED),
    ("SIGKILL of somebody else", _kill(signal.SIGKILL), KIND.KILLED),
    ("MemoryError", lambda: _raise(MemoryError()), KIND.OUT_OF_MEMORY),
    ("137 of a shell", lambda: os._exit(137), KIND.KILLED),
    ("139 of a shell", lambda: os._exit(139), KIND.CRASHED),
    ("134 of a shell", lambda: os._exit(134), KIND.CRASHED),
    ("FailedTrialError", lambda: _raise(FailedTrialError("never")), KIND.FAILED_TRIAL),
    ("a hang", lambda: threading.Event().wait(), KIND.TIMED_OUT),
]


class Ends(aiotune.RandomSearch):
    """Each trial ends in its own way."""

    def run_trial(self, trial: aiotune.Trial, **kwargs: Any) -> float:
        trial.hyperparameters.Float("x", 0.0, 1.0)
        if trial.index < len(ENDINGS):  # a trial that fits no device is replaced by another
            ENDINGS[trial.index][1]()
        return float(trial.index)


async def test_every_ending_is_told_for_what_it_is(tmp_path: Path) -> None:
    """No ending is taken for another, none ends the search, and a dead worker leaves a reason to read."""
    tuner = Ends(
        max_trials=len(ENDINGS),
        max_consecutive_failed_trials=None,
        max_parallel_trials=3,
        trial_timeout=8.0,
        stop_grace=0.5,
        seed=1,
        directory=tmp_path,
        project_name="p",
    )
    result = await tuner.search(verbose=0)
    trials = sorted(result.trials, key=lambda trial: trial.index)[: len(ENDINGS)]
    found = {
        name: None if trial.failure is None else trial.failure.kind
        for (name, _, _), trial in zip(ENDINGS, trials, strict=True)
    }

    assert found == {name: kind for name, _, kind in ENDINGS}
    by_name = {name: trial.failure for (name, _, _), trial in zip(ENDINGS, trials, strict=True)}
    crash = by_name["SIGSEGV"]
    assert crash is not None
    assert crash.signal == "SIGSEGV"
    assert "Fatal Python error: Segmentation fault" in crash.message
    assert {trial.status for trial in trials if trial.failure is None} == {"COMPLETED"}
