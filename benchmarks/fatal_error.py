"""How long after a FatalError is everything gone?

Two trials run; one raises a FatalError after a second. The time is taken from there until
``search()`` has raised it and none of the processes is left. The other trial is polite,
ignores signals, or holds the interpreter in native code.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from _report import report, summary

import aiotune


class Search(aiotune.GridSearch):
    """Trial 0 raises; trial 1 does what its name says."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        if trial.hyperparameters.Int("number", 0, 1) == 0:
            threading.Event().wait(1.0)
            Path(kwargs["raised"]).write_text(repr(time.monotonic()))
            raise aiotune.FatalError("on purpose")
        if kwargs["other"] == "ignores signals":
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        elif kwargs["other"] == "holds the interpreter":
            ctypes.PyDLL(None).sleep(60)
        threading.Event().wait(60)
        return 0.0


def seconds(other: str) -> float:
    """Search once; return the seconds from the error until nothing is left."""
    with tempfile.TemporaryDirectory() as directory:
        raised = Path(directory) / "raised"
        hp = aiotune.HyperParameters()
        hp.Int("number", 0, 1)
        tuner = Search(directory=directory, max_parallel_trials=2, hyperparameters=hp)
        try:
            asyncio.run(tuner.search(raised=str(raised), other=other, verbose=0))
        except aiotune.FatalError:
            left = psutil.Process(os.getpid()).children(recursive=True)
            psutil.wait_procs(left, timeout=20)
            return time.monotonic() - float(raised.read_text())
    raise AssertionError("the search did not raise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10)
    options = parser.parse_args()
    others = ("polite", "ignores signals", "holds the interpreter")
    results = {
        f"the other trial: {other}": summary([seconds(other) for _ in range(options.n)], "s")
        for other in others
    }
    report(__doc__ or "", results, not_measured="processes in a driver's uninterruptible sleep")


if __name__ == "__main__":
    main()
