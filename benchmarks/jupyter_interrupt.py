"""How soon does "Interrupt" take effect in a notebook, and what is left of a killed kernel?

A real kernel runs ``await tuner.search(...)`` in a cell; two trials that would take a minute
run. Some milliseconds into the search, different ones each time, the kernel is interrupted.
Measured are the times until the search says that it stops, until the cell has ended with its
error, and, of ``kill -9`` to the kernel, until no process of it is left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from _report import report, summary

from aiotune.testing._notebook import Cell, Kernel

SETUP = """
import signal, threading
import aiotune

class Waits(aiotune.RandomSearch):
    def run_trial(self, trial, stubborn=False):
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Event().wait(60)

    def on_trial_begin(self, trial):
        print("Here comes", trial.trial_id)

tuner = Waits(max_trials=3, directory=".", project_name="p", max_parallel_trials=2, stop_grace=0.5)
"""


class Pressed:
    """Interrupts once, some time after the first trial has begun; remembers when."""

    def __init__(self, kernel: Kernel, after: float) -> None:
        self.at = 0.0
        self._kernel, self._after = kernel, after
        self._timer: threading.Timer | None = None

    def __call__(self, cell: Cell) -> None:
        if self._timer is None and "Here comes" in cell.text:
            self._timer = threading.Timer(self._after, self._press)
            self._timer.start()

    def _press(self) -> None:
        self.at = time.monotonic()
        os.kill(self._kernel.pid, signal.SIGINT)  # what the button does


def kernel() -> Kernel:
    path = os.pathsep.join(filter(None, sys.path))
    return Kernel(Path(tempfile.mkdtemp()), **{**os.environ, "PYTHONPATH": path})


def interrupted(n: int, *, stubborn: bool) -> dict[str, list[float]]:
    """Interrupt ``n`` searches of one kernel, each of which goes on with the one before."""
    found: dict[str, list[float]] = {"says that it stops": [], "cell has ended": []}
    rng = random.Random(0)
    with kernel() as notebook:
        notebook.run(SETUP)
        for _ in range(n):
            press = Pressed(notebook, rng.uniform(0.0, 1.0))
            cell = notebook.run(f"await tuner.search(stubborn={stubborn})", watch=press)
            ended = time.monotonic()
            assert cell.error is not None
            assert cell.error[0] == "CancelledError"
            assert psutil.Process(notebook.pid).children(recursive=True) == []
            found["says that it stops"].append(cell.when("Stopping") - press.at)
            found["cell has ended"].append(ended - press.at)
    return found


def killed() -> float:
    """Kill a kernel whose trials ignore SIGTERM; return the seconds until all of it is gone."""
    seconds: list[float] = []

    def kill(cell: Cell) -> None:
        if "Here comes 1" in cell.text:
            family = psutil.Process(notebook.pid).children(recursive=True)
            ends = [os.pidfd_open(process.pid) for process in family]
            began = time.monotonic()
            os.kill(notebook.pid, signal.SIGKILL)
            for fd in ends:  # in any order: the last one counts
                assert select.select([fd], [], [], 20)[0]
                os.close(fd)
            seconds.append(time.monotonic() - began)
            raise EOFError

    with kernel() as notebook, contextlib.suppress(EOFError):
        notebook.run(SETUP)
        notebook.run("await tuner.search(stubborn=True)", watch=kill)
    return seconds[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=12)
    n = parser.parse_args().repeat
    results = {}
    for name, stubborn in (("polite trials", False), ("trials that ignore SIGTERM", True)):
        for what, seconds in interrupted(n, stubborn=stubborn).items():
            results[f"{name}: {what}"] = summary(seconds, "s")
    results["kernel killed: nothing left"] = summary([killed() for _ in range(n)], "s")
    report(
        str(__doc__).splitlines()[0],
        results,
        not_measured="a browser; kernels on another machine; trials on a GPU",
    )


if __name__ == "__main__":
    main()
