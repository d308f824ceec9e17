"""Where a fork cannot be trusted: self-test, fresh interpreters, standby."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import (
    attempt_order,
    probe_order,
    run_order,
)
from aiotune.wire import Probed

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]


class _Succeeds:
    """Returns the trial's number."""

    def run_trial(self, trial: Any) -> float:
        return float(trial.index)


async def _gone(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with anyio.fail_after(10):
        await anyio.wait_readable(pidfd)
    os.close(pidfd)


_FAKE_KERAS = """
import os, threading
__version__ = "0"
class backend:
    @staticmethod
    def backend(): return "torch"
class device:
    def __init__(self, name):
        {act}
    def __enter__(self): return self
    def __exit__(self, *args): pass
class Sequential:
    def __init__(self, parts): pass
    def compile(self, **kw): pass
    def fit(self, *a, **kw): return self
    history = {{"loss": [1.0, 1.0]}}
    def count_params(self): return 3
def Input(shape): pass
class layers:
    @staticmethod
    def Dense(units): pass
"""


def _fake_keras(directory: Path, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "keras.py").write_text(_FAKE_KERAS.format(act=act))
    monkeypatch.syspath_prepend(directory)


async def test_passed_self_test_means_forks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executing: Executing, log: Any
) -> None:
    """Where a fork trains a model, workers are forked."""
    _fake_keras(tmp_path, "pass", monkeypatch)

    async with executing(_Succeeds(), imports=("keras",), log=log) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello", "Done"]
    assert log.names == ["nursery_ready"]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("os._exit(9)", "code 9"),
        ("threading.Event().wait()", "did not end within"),
    ],
)
@pytest.mark.parametrize("kind", ["attempt", "probe"])
async def test_failed_self_test_means_fresh_interpreters(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    act: str,
    reason: str,
    kind: str,
    executing: Executing,
    log: Any,
) -> None:
    """Where a fork fails, dies or hangs, workers come from interpreters of their own."""
    _fake_keras(tmp_path, act, monkeypatch)
    monkeypatch.setattr("aiotune.executors._trust._DEADLINE", 0.3)
    work = attempt_order(tmp_path) if kind == "attempt" else probe_order(tmp_path)

    async with executing(_Succeeds(), imports=("keras",), log=log) as executor:
        ran = await run_order(executor, work)

    assert ran.said == ["Hello", "Done" if kind == "attempt" else "Probed"]
    failed = [fields for name, fields in log.events if name == "nursery_failed"]
    assert len(failed) == 1
    assert reason in failed[0]["reason"]


async def test_fresh_interpreters_behave_like_forks(tmp_path: Path, executing: Executing) -> None:
    """A worker of its own interpreter has its log, its marker, its stop and its sweep."""

    class _Leaves:
        def run_trial(self, trial: Any) -> float:
            print(os.environ["AIOTUNE_ATTEMPT"], flush=True)  # noqa: T201 - output is what is tested
            subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
            if trial.index:
                threading.Event().wait()
            return 1.0

    async with executing(_Leaves(), start="spawn") as executor:
        done = await run_order(executor, attempt_order(tmp_path))
        stopped = await run_order(executor, attempt_order(tmp_path, index=1), stop_at="Hello")

    assert (done.said, done.ending.exit_code, done.ending.swept) == (["Hello", "Done"], 0, 1)
    assert done.log == f"{done.work.attempt_id}\n"
    assert (stopped.said, stopped.ending.signal) == (["Hello"], signal.SIGTERM)


async def test_standby_that_dies_is_replaced(tmp_path: Path, executing: Executing) -> None:
    """A waiting interpreter that was killed is not given an attempt."""
    async with executing(_Succeeds(), start="spawn") as executor:
        await run_order(executor, attempt_order(tmp_path))
        (waiting,) = executor.workers
        os.kill(waiting.pid, signal.SIGKILL)
        await _gone(waiting.pid)
        ran = await run_order(executor, attempt_order(tmp_path, index=1))

    assert ran.last.metrics == {"score": 1.0}


async def test_probe_of_a_target_without_a_model(tmp_path: Path, executing: Executing) -> None:
    """A probe is an order like any other."""
    async with executing(_Succeeds()) as executor:
        ran = await run_order(executor, probe_order(tmp_path))

    assert ran.said == ["Hello", "Probed"]
    assert isinstance(ran.last, Probed)
