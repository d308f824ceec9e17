"""Searches with processes on each kind of event loop: results, failures, limits, signals."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

import aiotune
from aiotune import events
from aiotune.store import Layout, read_events
from aiotune.testing._loops import HERE, KINDS, loop_of_kind

NOT_HERE = pytest.mark.skip(reason="eager tasks came with Python 3.12")
LOOPS = [kind if kind in HERE else pytest.param(kind, marks=NOT_HERE) for kind in KINDS]
QUICK = {
    "uvloop-SIGINT",
    "uvloop-SIGTERM",
    "debug-SIGINT",
    "eager-SIGINT",
    "uvloop-twice",
    "uvloop-killed",
    "eager-twice",
}
"""What every run does as a program; plain asyncio's are in test_search_deaths.py."""
SCRIPT = Path(__file__).with_name("search_on_a_loop.py")


class Mixed(aiotune.RandomSearch):
    """One trial succeeds, one fails, one takes too long, one does what the program says."""

    def run_trial(self, trial: aiotune.Trial, **kwargs: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        match trial.trial_id:
            case "1":
                raise ValueError("on purpose")
            case "2":
                threading.Event().wait(60)
            case "3" if kwargs.get("fatal"):
                raise aiotune.FatalError("on purpose")
            case _:
                pass
        return x


def mixed(path: Path, **kwargs: Any) -> Mixed:
    return Mixed(
        max_trials=4,
        seed=1,
        directory=path,
        project_name="p",
        max_parallel_trials=2,
        stop_grace=0.2,
        **kwargs,
    )


def statuses(tuner: aiotune.RandomSearch) -> dict[str, str]:
    return {trial_id: str(trial.status) for trial_id, trial in tuner.oracle.trials.items()}


@pytest.fixture(params=LOOPS)
def runner(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[asyncio.Runner]:
    """Run coroutines on each kind of loop; nothing that asyncio complains of is overlooked."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=partial(loop_of_kind, request.param)) as made:
        made.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        yield made
    said = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    # How long a step takes depends on what else the machine does.
    assert [text for text in said if not text.startswith(("Using", "Executing"))] == []
    assert complaints == []


def test_trials_that_succeed_fail_and_take_too_long(tmp_path: Path, runner: asyncio.Runner) -> None:
    """Each ends as it should, and the search returns."""
    tuner = mixed(tmp_path, trial_timeout=1.0)

    result = runner.run(tuner.search(verbose=0))

    assert statuses(tuner) == {"0": "COMPLETED", "1": "FAILED", "2": "FAILED", "3": "COMPLETED"}
    assert result.best_score is not None


def test_a_fatal_error_is_raised_bare(tmp_path: Path, runner: asyncio.Runner) -> None:
    """The trial that would take a minute is ended, and neither counts as finished."""
    tuner = mixed(tmp_path)

    with pytest.raises(aiotune.FatalError, match="on purpose"):
        runner.run(tuner.search(fatal=True, verbose=0))

    assert statuses(tuner) == {"0": "COMPLETED", "1": "FAILED", "2": "CANCELLED", "3": "INVALID"}


def test_a_cancelled_search_can_be_gone_on_with(tmp_path: Path, runner: asyncio.Runner) -> None:
    """``asyncio.timeout`` ends it in order; the same tuner continues on the same loop."""
    tuner = mixed(tmp_path)

    async def cut_short() -> None:
        async with asyncio.timeout(1.0):
            await tuner.search(verbose=0)

    with pytest.raises(TimeoutError):
        runner.run(cut_short())
    tuner.trial_timeout = 0.5
    runner.run(tuner.search(verbose=0))

    assert set(statuses(tuner).values()) <= {"COMPLETED", "FAILED"}
    assert len(statuses(tuner)) == 4


# ── as a program ───────────────────────────────────────────────────────────


def programs(*hows: str) -> list[Any]:
    """Return each kind of loop with each way to end, those that every run need not repeat as slow."""
    found = []
    for kind, how in itertools.product(KINDS, hows):
        skipped = () if kind in HERE else (NOT_HERE,)
        slow = () if f"{kind}-{how}" in QUICK else (pytest.mark.slow,)
        found.append(pytest.param(kind, how, marks=(*skipped, *slow), id=f"{kind}-{how}"))
    return found


@contextmanager
def program(kind: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the search until two trials have begun."""
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", str(SCRIPT), kind, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONASYNCIODEBUG": "0"},
    )
    assert process.stdout is not None
    with process:
        try:
            begun = [process.stdout.readline() for _ in range(2)]
            assert {line.split()[-1] for line in begun} == {b"begins"}
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("kind", "how"), programs("SIGINT", "SIGTERM"))
def test_a_signal_ends_the_program_in_order(tmp_path: Path, kind: str, how: str) -> None:
    """The project is closed, the program dies of the signal, and nothing is left or warned of."""
    number = signal.Signals[how]
    with program(kind, tmp_path) as process:
        process.send_signal(number)
        said, errors = process.communicate(timeout=30)

    *_, ended, closed = read_events(Layout(tmp_path, "p"))
    assert process.returncode == -number
    assert (said == b"interrupted\n") is (number is signal.SIGINT)
    assert (b"\nKeyboardInterrupt: The search was interrupted: 0 of 4 trials" in errors) is (
        number is signal.SIGINT
    )
    assert isinstance(ended, events.SearchEnded)
    assert isinstance(closed, events.ProjectClosed)
    assert b"Warning" not in errors
    assert b"never retrieved" not in errors


EXITS = """
import asyncio, sys, aiotune

class Exits(aiotune.RandomSearch):
    def run_trial(self, trial, **_):
        return trial.hyperparameters.Float("x", 0.0, 1.0)

    def on_trial_end(self, trial):
        sys.exit(3)

tuner = Exits(max_trials=4, directory=sys.argv[1], project_name="p", max_parallel_trials=2)
asyncio.run(tuner.search(verbose=0))
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_sys_exit_in_a_hook_ends_the_program(tmp_path: Path, kind: str) -> None:
    """With its code, in order, and without waiting for idle threads for ever."""
    command = [sys.executable, "-c", EXITS.replace("def on_", f"{kind} on_"), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"", b"")
    assert isinstance(read_events(Layout(tmp_path, "p"))[-1], events.ProjectClosed)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_where_asyncio_run_is_not_used(tmp_path: Path, presses: int) -> None:
    """The loop ends in KeyboardInterrupt, as of asyncio.run; a second press kills at once."""
    with program("by hand", tmp_path) as process:
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=30)

    *_, closed = read_events(Layout(tmp_path, "p"))
    assert (process.returncode, said) == (-signal.SIGINT, b"interrupted\n")
    last = errors.splitlines()[-1]
    assert last.startswith(b"KeyboardInterrupt: The search was interrupted: 0 of 4 trials are")
    assert isinstance(closed, events.ProjectClosed)


@pytest.mark.parametrize(("kind", "how"), programs("twice"))
def test_a_second_ctrl_c_ends_the_program_at_once(tmp_path: Path, kind: str, how: str) -> None:
    """However close to the first, whatever is being started: closed in order, and nothing left."""
    with program(kind, tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        for _ in range({"twice": 2}[how]):
            process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=30)
        _, alive = psutil.wait_procs(family, timeout=5)

    *_, closed = read_events(Layout(tmp_path, "p"))
    assert alive == []
    assert (process.returncode, said) == (-signal.SIGINT, b"interrupted\n")
    assert errors.splitlines()[-1].startswith(
        b"KeyboardInterrupt: The search was interrupted: 0 of"
    )
    assert isinstance(closed, events.ProjectClosed)


@pytest.mark.parametrize(("kind", "how"), programs("killed"))
def test_an_end_without_order_leaves_nothing(tmp_path: Path, kind: str, how: str) -> None:
    """The keepers end what the program has not."""
    with program(kind, tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal({"killed": signal.SIGKILL}[how])
        process.communicate(timeout=30)
        _, alive = psutil.wait_procs(family, timeout=5)

    assert alive == []
    assert process.returncode == -signal.SIGKILL
