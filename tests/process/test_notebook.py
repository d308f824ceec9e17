"""A search in a notebook: interrupted, gone on with, started the wrong way, and its kernel killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ipykernel")

from aiotune._notebook import SENTENCE
from aiotune.testing._notebook import Cell, Kernel

SETUP = """
import asyncio, signal, threading
import aiotune

class Waits(aiotune.RandomSearch):
    def on_trial_begin(self, trial):
        print("Here comes", trial.trial_id)

    def run_trial(self, trial, seconds, stubborn=False):
        x = trial.hyperparameters.Float("x", 0.0, 1.0)
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("trial", trial.trial_id, "begins")
        threading.Event().wait(seconds)
        return x

def make():
    return Waits(max_trials=3, seed=1, directory=".", project_name="p", max_parallel_trials=2,
                 stop_grace=0.5)

tuner = make()
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Give a kernel that has not begun."""
    paths = os.pathsep.join(filter(None, sys.path))
    return Kernel(tmp_path, **{**os.environ, "PYTHONPATH": paths})


def children(kernel: Kernel) -> list[psutil.Process]:
    return psutil.Process(kernel.pid).children(recursive=True)


class _Interrupts:
    """Presses "Interrupt" each time that the cell says one of some texts."""

    def __init__(self, kernel: Kernel, *texts: str) -> None:
        self._kernel, self._texts = kernel, list(texts)

    def __call__(self, cell: Cell) -> None:
        if self._texts and self._texts[0] in cell.text:
            self._texts.pop(0)
            self._kernel.interrupt()


def test_an_interrupted_search_ends_in_order_and_goes_on_in_the_next_cell(kernel: Kernel) -> None:
    """A short error that says what is kept; no process; the same tuner, or another, goes on."""
    with kernel:
        kernel.run(SETUP)
        once = kernel.run("await tuner.search(60)", watch=_Interrupts(kernel, "Here comes"))
        left_by_once = children(kernel)
        stopping = "Stopping"
        twice = kernel.run(
            "await tuner.search(60, stubborn=True)",
            watch=_Interrupts(kernel, "Here comes", stopping, stopping),
        )
        left_by_twice = children(kernel)
        same = kernel.run("result = await tuner.search(0)\nresult")
        other = kernel.run("tuner = make()\n(await tuner.search(0)).best_score")
        shown = kernel.run("tuner.search_space_summary(); tuner.results_summary()")

    kept = (
        "The search was interrupted: 0 of 3 trials are finished and kept in "
        f"{kernel.directory / 'p'}. Run it again to go on."
    )
    assert [once.error, twice.error] == [("CancelledError", kept)] * 2
    assert len(once.traceback.splitlines()) < 15
    assert (left_by_once, left_by_twice) == ([], [])
    assert [same.error, other.error, shown.error] == [None] * 3
    assert "<td>COMPLETED</td>" in same.html[0]
    assert not any("\x1b" in cell.text or "\r" in cell.text for cell in (once, same, shown))


def test_asyncio_run_in_a_cell_is_explained(kernel: Kernel, tmp_path: Path) -> None:
    """Python's own message says nothing of ``await``; ours does, once, and nothing warns later."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + "asyncio.run(tuner.search(0))")
    with kernel:
        kernel.run(SETUP)
        wrong = kernel.run("asyncio.run(tuner.search(0))")
        by_loop = kernel.run("asyncio.get_running_loop().run_until_complete(tuner.search(0))")
        as_script = kernel.run("%run script.py")
        later = kernel.run("import gc, sys; sys.last_value = None; gc.collect(); 1 / 0")
        right = kernel.run("await tuner.search(0)")

    assert [c.text.count(SENTENCE) for c in (wrong, by_loop, as_script, later)] == [1, 1, 1, 0]
    assert [c.error and c.error[0] for c in (wrong, by_loop, later)] == [
        "RuntimeError",
        "RuntimeError",
        "ZeroDivisionError",
    ]
    assert "never awaited" not in later.text + right.text
    assert right.error is None


def _begun(directory: Path) -> int:
    logs = directory.glob("p/trial_*/attempt-*/output.log")
    return sum("begins" in log.read_text() for log in logs)


def test_a_killed_kernel_leaves_no_process(kernel: Kernel) -> None:
    """That is what "Restart" does: trials that ignore SIGTERM are gone with the kernel, too."""
    left: list[psutil.Process] = []

    def kill(cell: Cell) -> None:
        if "at a time" in cell.text and not left:
            while _begun(kernel.directory) < 2:
                assert cell.error is None
            left.extend(children(kernel))
            os.kill(kernel.pid, signal.SIGKILL)
            raise KeyboardInterrupt

    with kernel:
        kernel.run(SETUP)
        with pytest.raises(KeyboardInterrupt):
            kernel.run("await tuner.search(60, stubborn=True)", watch=kill)
        _, alive = psutil.wait_procs(left, timeout=5)

    assert len(left) >= 5
    assert alive == []
