"""Searches whose terminal, pipe or log takes nothing: they go on, end in time, and the program ends well."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, sys
import aiotune

class Quick(aiotune.RandomSearch):
    def run_trial(self, trial):
        return trial.hyperparameters.Float("x", 0.0, 1.0)

    async def on_trial_end(self, trial):
        if "prints" in sys.argv:
            print("printed on the loop")

tuner = Quick(max_trials=5, seed=1, directory=sys.argv[1], project_name="p", executor="inline")
result = asyncio.run(tuner.search())
sys.stderr.write(f"{len(result.trials)} trials\\n")
"""
_LONGEST = 30.0
"""Seconds that a program may take which has two for its last words."""


def fill(descriptor: int) -> None:
    """Write to a pipe or terminal until it takes no more, as if its reader had gone to sleep."""
    os.set_blocking(descriptor, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(descriptor, b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(descriptor, True)


def run(folder: Path, *words: str, stdout: int) -> subprocess.CompletedProcess[str]:
    """Run the program; one that waits for its reader fails the test by its time."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"},
        text=True,
        cwd=folder,
        timeout=_LONGEST,
        check=False,
    )


@pytest.mark.parametrize(
    ("opened", "words"),
    [
        # What a program prints to a full pipe itself is the program's to wait for.
        pytest.param(os.pipe, (), id="pipe"),
        pytest.param(pty.openpty, ("prints",), id="terminal"),
    ],
)
def test_a_terminal_that_nobody_reads_stops_nothing(
    opened: Callable[[], tuple[int, int]], words: tuple[str, ...], tmp_path: Path
) -> None:
    """All trials end, and the interpreter, too, without a word: its thread holds no lock of sys.stdout."""
    read, write = opened()
    fill(write)
    done = run(tmp_path, *words, stdout=write)
    os.close(write)
    os.close(read)

    assert (done.returncode, done.stderr) == (0, "5 trials\n")


def test_a_terminal_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """Its loss is noted in the log, once; nothing of the text is left for Python to fail with at its end."""
    read, write = os.pipe()
    os.close(read)
    done = run(tmp_path, stdout=write)
    os.close(write)

    assert (done.returncode, done.stderr) == (0, "5 trials\n")
    assert (tmp_path / "p" / "events.log").read_text().count('"sink_failed"') == 1


def test_a_log_that_hangs_stops_nothing(tmp_path: Path) -> None:
    """A file on a server that does not answer; here a pipe in its place that nobody reads."""
    (tmp_path / "p").mkdir(mode=0o700)
    log = tmp_path / "p" / "events.log"
    os.mkfifo(log, 0o600)
    held = os.open(log, os.O_RDWR)
    fill(held)
    done = run(tmp_path, stdout=subprocess.DEVNULL)
    os.close(held)

    assert (done.returncode, done.stderr) == (0, "5 trials\n")
