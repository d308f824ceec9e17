"""A search whose program dies: nothing is lost, nothing is left, and it can be continued."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import random
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import psutil
import pytest

from aiotune import events
from aiotune.events import AttemptEnded
from aiotune.failures import FailureKind
from aiotune.status import TrialStatus
from aiotune.store import Layout, read_events

SCRIPT = Path(__file__).with_name("search_to_kill.py")
TRIALS = 24


def start(path: Path, trials: int = TRIALS) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), str(trials)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def journal(path: Path) -> list[events.Event]:
    return read_events(Layout(path, "p"))


def results(path: Path) -> dict[str, tuple[object, ...]]:
    ended = [e for e in journal(path) if isinstance(e, events.TrialEnded)]
    assert len({e.trial_id for e in ended}) == len(ended), "a trial ended twice"
    return {e.trial_id: (e.status, e.score, tuple(e.values.items())) for e in ended}


def survivors() -> list[str]:
    run = os.environ["AIOTUNE_TEST_RUN"]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AIOTUNE_TEST_RUN") == run and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(found, timeout=2)
    return [str(p) for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    path = tmp_path_factory.mktemp("twin")
    assert start(path).communicate(timeout=60)[0].split() == [str(TRIALS).encode()]
    return results(path)


@pytest.mark.parametrize("seed", range(3))
def test_a_search_killed_again_and_again_ends_like_its_twin(
    tmp_path: Path, seed: int, uninterrupted: dict[str, tuple[object, ...]]
) -> None:
    """SIGKILL at random moments: the project opens, no process stays, results equal the twin's."""
    rng = random.Random(seed)
    finished_before: set[str] = set()
    for _ in range(4):
        process = start(tmp_path)
        try:
            process.wait(rng.uniform(0.25, 0.7))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        assert survivors() == []
        finished = set(results(tmp_path))
        assert finished_before <= finished, "a finished trial was lost"
        finished_before = finished

    process = start(tmp_path)
    output, error = process.communicate(timeout=60)

    assert process.returncode == 0, error.decode()
    assert output.split() == [str(TRIALS).encode()]
    assert results(tmp_path) == uninterrupted


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name
)
def test_a_polite_signal_ends_the_search_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and SIGHUP stop the trials, close the project, and the program dies of the signal."""
    process = start(tmp_path)
    while not any(isinstance(e, events.TrialEnded) for e in journal(tmp_path)):
        assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=10)

    assert process.returncode == -number
    *_, ended, closed = journal(tmp_path)
    assert isinstance(ended, events.SearchEnded)
    assert ended.reason == "cancelled"
    assert isinstance(closed, events.ProjectClosed)
    assert survivors() == []


@pytest.mark.parametrize("workers_first", [True, False], ids=["workers first", "tuner first"])
def test_a_signal_to_the_whole_job_fails_no_trial(tmp_path: Path, workers_first: bool) -> None:
    """Nursery and keepers bear it; the trials are cancelled, whoever hears of it first, and run again."""
    process = start(tmp_path)
    while not any(isinstance(e, events.TrialEnded) for e in journal(tmp_path)):
        assert process.poll() is None
    family = psutil.Process(process.pid).children(recursive=True)
    job: list[Any] = [*family, process] if workers_first else [process, *family]
    for one in job:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)

    assert process.returncode == -signal.SIGTERM
    assert survivors() == []
    kinds = {e.failure.kind for e in journal(tmp_path) if isinstance(e, AttemptEnded) and e.failure}
    assert kinds <= {FailureKind.CANCELLED}
    assert {status for status, *_ in results(tmp_path).values()} == {TrialStatus.COMPLETED}
    again = start(tmp_path)
    assert again.communicate(timeout=60)[0].split() == [str(TRIALS).encode()]


def test_nursery_and_keepers_live_through_polite_signals(tmp_path: Path) -> None:
    """Without the workers, which alone are meant to end by them; the search goes on as if nothing were."""
    process = start(tmp_path)
    while not any(isinstance(e, events.TrialEnded) for e in journal(tmp_path)):
        assert process.poll() is None
    for one in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.name() in {"aiotune-nursery", "aiotune-keeper"}:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
                    one.send_signal(number)
    output, error = process.communicate(timeout=60)

    assert output.split() == [str(TRIALS).encode()], error.decode()
    assert "nursery_lost" not in (tmp_path / "p" / "events.log").read_text()


def test_a_terminal_that_is_closed_ends_the_search_in_order(tmp_path: Path) -> None:
    """The kernel sends SIGHUP to the program, which can write to its terminal no more."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path), str(TRIALS)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one call
    )
    os.close(theirs)
    while not any(isinstance(e, events.TrialEnded) for e in journal(tmp_path)):
        assert process.poll() is None
    os.close(ours)

    assert process.wait(timeout=20) == -signal.SIGHUP
    *_, ended, closed = journal(tmp_path)
    assert isinstance(ended, events.SearchEnded)
    assert isinstance(closed, events.ProjectClosed)
    assert survivors() == []


def test_a_second_search_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """The same script twice: the second says who holds the project, and harms nothing."""
    first = start(tmp_path, 100_000)  # more than it could ever do meanwhile
    while not journal(tmp_path):
        assert first.poll() is None
    second = start(tmp_path)
    _, error = second.communicate(timeout=60)
    finished = len(results(tmp_path))
    while len(results(tmp_path)) == finished:
        assert first.poll() is None, "it goes on"
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)

    assert b"ProjectLocked" in error
    assert f"pid {first.pid}".encode() in error


def test_what_a_killed_keeper_left_is_ended_when_the_project_is_opened(tmp_path: Path) -> None:
    """Keepers and program killed together: a trial's daemons live on, until the next search."""
    process = start(tmp_path)
    program = psutil.Process(process.pid)
    keepers: list[psutil.Process] = []
    while not any(child.name() == "sleep" for child in program.children(recursive=True)):
        assert process.poll() is None
    program.suspend()
    family = program.children(recursive=True)
    keepers = [p for p in family if p.name() == "aiotune-keeper"]
    for keeper in keepers:
        keeper.kill()
    process.kill()
    process.communicate()
    left = survivors()
    assert keepers
    assert any("sleep" in line for line in left), "there is something to end"

    again = start(tmp_path)
    again.communicate(timeout=60)

    assert again.returncode == 0
    assert survivors() == []
    assert '"event":"processes_swept"' in (tmp_path / "p" / "events.log").read_text()
