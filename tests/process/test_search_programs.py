"""Programs that end in ways of their own: out of a hook or a trial, beside another search, in a thread."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiotune import events
from aiotune.store import Layout, read_events

HEAD = """
import asyncio, contextlib, os, signal, sys, threading
import aiotune

class Search(aiotune.RandomSearch):
    def run_trial(self, trial, **_):
        return trial.hyperparameters.Float("x", 0.0, 1.0)

def search(name="p", **options):
    tuner = Search(max_trials=4, directory=sys.argv[1], project_name=name, stop_grace=0.2, **options)
    return tuner.search(verbose=0)

def by_hand(coroutine):
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(coroutine)
"""
LEAVES_A_HOOK = """
def on_trial_end(self, trial):
    sys.exit(3)
Search.on_trial_end = on_trial_end
"""
LEAVES_A_TRIAL = """
def run_trial(self, trial, **_):
    sys.exit(3)
Search.run_trial = run_trial
"""
TWO = """
begun = []

class Two(Search):
    def run_trial(self, trial, **_):
        trial.hyperparameters.Float("x", 0.0, 1.0)
        threading.Event().wait(60)

    async def on_trial_begin(self, trial):
        begun.append(self.project_name)
        if set(begun) == {"a", "b"}:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))

Search = Two

async def both():
    await asyncio.gather(search("a", max_parallel_trials=1), search("b", max_parallel_trials=1))
"""


def ran(tmp_path: Path, *parts: str, words: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run a program to its end; return its exit code, what it said and what it said of trouble."""
    command = [sys.executable, "-c", HEAD + "\n".join(parts), str(tmp_path), *words]
    ended = subprocess.run(command, capture_output=True, timeout=30, check=False, text=True)
    return ended.returncode, ended.stdout, ended.stderr


def is_closed(tmp_path: Path, name: str = "p") -> bool:
    return isinstance(read_events(Layout(tmp_path, name))[-1], events.ProjectClosed)


@pytest.mark.parametrize("runs", ["asyncio.run", "by_hand"])
@pytest.mark.parametrize("leaves", [LEAVES_A_HOOK, LEAVES_A_TRIAL], ids=["hook", "trial"])
def test_sys_exit_ends_the_program_with_its_code(tmp_path: Path, leaves: str, runs: str) -> None:
    """Wherever in the program's own process it is called; in order, and waiting for no idle thread."""
    code, said, trouble = ran(tmp_path, leaves, f"{runs}(search(executor='inline'))")

    assert (code, said, trouble) == (3, "", "")
    assert is_closed(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("runs", ["asyncio.run", "by_hand"])
def test_a_signal_ends_both_searches_of_a_loop(
    tmp_path: Path, number: signal.Signals, runs: str
) -> None:
    """Neither dies of it before the other has closed its project."""
    code, _, trouble = ran(tmp_path, TWO, f"{runs}(both())", words=(number.name,))

    assert code == -number
    assert ("KeyboardInterrupt" in trouble) == (number is signal.SIGINT)
    assert [is_closed(tmp_path, name) for name in "ab"] == [True, True]


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 3),
    reason="this Python starts no thread and no process once the main thread has ended (gh-113964)",
)
def test_a_search_may_outlast_the_main_thread(tmp_path: Path) -> None:
    """Python refuses new pools of threads then, and waits for this one all the same."""
    thread = "threading.Thread(target=lambda: print(len(asyncio.run(search()).trials))).start()"

    assert ran(tmp_path, thread) == (0, "4\n", "")
