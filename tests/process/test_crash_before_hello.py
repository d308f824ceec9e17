"""Every way to end before the first word: the exact ending, and nothing left."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import Ran, attempt_order, run_order
from aiotune.wire import Payload


class _Succeeds:
    """A target that has no part in what happens."""

    def run_trial(self, trial: Any) -> float:
        return 1.0


_HOOK = """
import ctypes, os, signal, sys, threading
forks = 0
def after_fork():
    global forks
    forks += 1
    if forks == {process}:
        {act}
os.register_at_fork(after_in_child=after_fork)
"""
_KEEPER, _WORKER = 1, 2


async def _run_with_hook(
    act: str, process: int, directory: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Ran:
    (directory / "acts_after_fork.py").write_text(_HOOK.format(act=act, process=process))
    monkeypatch.syspath_prepend(directory)
    executor = LocalExecutor(Payload(_Succeeds()), imports=("acts_after_fork",))
    try:
        return await run_order(executor, attempt_order(directory), **options)
    finally:
        await executor.aclose()


@pytest.mark.parametrize(
    ("act", "code", "number"),
    [
        ("os._exit(3)", 3, None),
        ("os.kill(os.getpid(), signal.SIGKILL)", None, signal.SIGKILL),
        ("ctypes.string_at(0)", None, signal.SIGSEGV),
    ],
)
async def test_end_before_the_first_word(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    act: str,
    code: int | None,
    number: int | None,
) -> None:
    """A worker that ends before it speaks is reported like any other."""
    ran = await _run_with_hook(act, _WORKER, tmp_path, monkeypatch)

    assert ran.said == []
    assert (ran.ending.exit_code, ran.ending.signal) == (code, number)


async def test_hang_before_the_first_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that never speaks can be stopped."""
    ran = await _run_with_hook(
        "threading.Event().wait()", _WORKER, tmp_path, monkeypatch, stop_at="launch", grace=0.05
    )

    assert ran.said == []
    assert ran.ending.stopped


async def test_exception_before_the_first_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork hook of a library that raises harms nobody."""
    ran = await _run_with_hook("raise ValueError", _WORKER, tmp_path, monkeypatch)

    assert ran.said == ["Hello", "Done"]
