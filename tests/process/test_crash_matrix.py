"""Every way to end, at every stage of a worker: the exact ending, and nothing left."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aiotune.executors import LocalExecutor
from aiotune.failures import FailureKind
from aiotune.testing._processes import Ran, attempt_order, leftovers, run_order
from aiotune.wire import Payload, read_result

_SLEEPER = [sys.executable, "-S", "-c", "import signal; signal.pause()"]


def _raises() -> None:
    raise ValueError("on purpose")


def _exits() -> None:
    sys.exit(3)


def _is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _segfaults() -> None:
    ctypes.string_at(0)


def _hangs() -> None:
    threading.Event().wait()


def _hangs_whatever_is_asked() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _report()
    threading.Event().wait()


def _floods() -> None:
    line = b"x" * 1023 + b"\n"
    for _ in range(80):
        os.write(1, line * 1024)


def _leaves_a_child() -> None:
    subprocess.Popen(_SLEEPER)


def _leaves_a_forked_child() -> None:
    if os.fork() == 0:
        signal.pause()


def _leaves_a_daemon() -> None:
    between = os.fork()
    if between == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 256)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execve(_SLEEPER[0], _SLEEPER, {})
        os._exit(0)
    os.waitpid(between, 0)


def _report() -> None:
    from aiotune.worker._context import current_attempt

    context = current_attempt.get()
    assert context is not None
    context.report(0, {"score": 0.5})


class _Acts:
    """A target that does something in its trial."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def run_trial(self, trial: Any) -> float:
        print("in the trial")  # noqa: T201 - output is what is tested
        self.act()
        return 1.0


class _ActsWhenLoaded(_Acts):
    """A target that does something while it is loaded."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.act()

    def run_trial(self, trial: Any) -> float:
        return 1.0


class _ActsWhenFlushed:
    """A stream that does something in its last flush, after the result was sent."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        self.act()


class _ActsAfterDone:
    """A target that does something between its result and its end."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def run_trial(self, trial: Any) -> float:
        sys.stdout = _ActsWhenFlushed(self.act)
        return 1.0


async def _run(target: Any, directory: Path, **options: Any) -> Ran:
    executor = LocalExecutor(Payload(target), imports=())
    try:
        ran = await run_order(executor, attempt_order(directory), **options)
    finally:
        await executor.aclose()
    assert await leftovers(ran.work.attempt_id) == []
    return ran


_DIES = [(_is_killed, signal.SIGKILL), (_segfaults, signal.SIGSEGV)]


async def test_trial_succeeds(tmp_path: Path) -> None:
    """The measure of all others: a result, an exit code of 0, output in the log."""
    ran = await _run(_Acts(_report), tmp_path)

    assert ran.said == ["Hello", "Report", "Done"]
    assert (ran.ending.exit_code, ran.ending.signal, ran.ending.stopped) == (0, None, False)
    assert ran.log == "in the trial\n"
    spooled = await to_thread.run_sync(read_result, ran.work.log_path.parent / "result.json")
    assert spooled == ran.last


# ── in the trial ───────────────────────────────────────────────────────────


async def test_exception_in_the_trial(tmp_path: Path) -> None:
    """An exception is a message, and exit code 1."""
    ran = await _run(_Acts(_raises), tmp_path)

    assert ran.said == ["Hello", "Failed"]
    assert ran.last.failure.summary() == "ValueError: on purpose"
    assert ran.ending.exit_code == 1


async def test_exit_in_the_trial(tmp_path: Path) -> None:
    """``sys.exit(3)`` ends the worker with that code and without a word."""
    ran = await _run(_Acts(_exits), tmp_path)

    assert ran.said == ["Hello"]
    assert (ran.ending.exit_code, ran.ending.signal) == (3, None)


@pytest.mark.parametrize(("act", "number"), _DIES)
async def test_death_in_the_trial(
    tmp_path: Path, act: Callable[[], None], number: signal.Signals
) -> None:
    """A signal that ends the worker is named, and it was not ours."""
    ran = await _run(_Acts(act), tmp_path)

    assert ran.said == ["Hello"]
    assert (ran.ending.exit_code, ran.ending.signal, ran.ending.stopped) == (None, number, False)


async def test_segfault_leaves_its_stack_in_the_log(tmp_path: Path) -> None:
    """A crash in native code shows which line of Python led there."""
    ran = await _run(_Acts(_segfaults), tmp_path)

    assert "Segmentation fault" in ran.log
    assert "in _segfaults" in ran.log


async def test_hanging_trial_ends_at_sigterm(tmp_path: Path) -> None:
    """A stopped worker gets SIGTERM, long before its grace is over."""
    ran = await _run(_Acts(_hangs), tmp_path, stop_at="Hello", grace=50.0)

    assert ran.said == ["Hello"]
    assert (ran.ending.signal, ran.ending.stopped) == (signal.SIGTERM, True)


async def test_trial_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After the grace nobody is asked any more."""
    ran = await _run(_Acts(_hangs_whatever_is_asked), tmp_path, stop_at="Report", grace=0.05)

    assert ran.said == ["Hello", "Report"]
    assert (ran.ending.signal, ran.ending.stopped) == (signal.SIGKILL, True)


async def test_no_grace_kills_at_once(tmp_path: Path) -> None:
    """A grace of zero is SIGKILL."""
    ran = await _run(_Acts(_hangs), tmp_path, stop_at="Hello", grace=0.0)

    assert (ran.ending.signal, ran.ending.stopped) == (signal.SIGKILL, True)


async def test_flood_of_output_is_bounded_on_disk(tmp_path: Path) -> None:
    """A log that grows without end loses its middle, and costs the trial nothing."""
    ran = await _run(_Acts(_floods), tmp_path)

    status = ran.work.log_path.stat()
    assert ran.said == ["Hello", "Done"]
    assert status.st_size > 80 << 20
    assert status.st_blocks * 512 < 16 << 20
    assert "its middle is dropped" in ran.log[-200:]


@pytest.mark.parametrize("act", [_leaves_a_child, _leaves_a_forked_child, _leaves_a_daemon])
async def test_descendants_are_swept(tmp_path: Path, act: Callable[[], None]) -> None:
    """What a trial leaves running ends with it, daemons included, and is counted."""
    ran = await _run(_Acts(act), tmp_path)

    assert ran.said == ["Hello", "Done"]
    assert (ran.ending.exit_code, ran.ending.swept) == (0, 1)


@pytest.mark.parametrize("act", [_leaves_a_child, _leaves_a_forked_child, _leaves_a_daemon])
async def test_descendants_of_a_stopped_trial_are_swept(
    tmp_path: Path, act: Callable[[], None]
) -> None:
    """A stop ends the whole tree, however it is rooted."""

    def leave_and_hang() -> None:
        act()
        _hangs_whatever_is_asked()

    ran = await _run(_Acts(leave_and_hang), tmp_path, stop_at="Report", grace=0.05)

    assert (ran.ending.signal, ran.ending.stopped) == (signal.SIGKILL, True)


async def test_forked_child_that_returns_says_nothing(tmp_path: Path) -> None:
    """A child that the user's code forks and lets return does not end the attempt twice."""
    ran = await _run(_Acts(os.fork), tmp_path)

    assert ran.said == ["Hello", "Done"]
    assert ran.ending.exit_code == 0


# ── loading the program ────────────────────────────────────────────────────


async def test_exception_while_loading(tmp_path: Path) -> None:
    """A program that cannot be loaded fails with a sentence that every trial shares."""
    ran = await _run(_ActsWhenLoaded(_raises), tmp_path)

    assert ran.said == ["Hello", "Failed"]
    assert ran.last.failure.kind is FailureKind.FATAL
    assert "cannot load what was given to search(): ValueError: on purpose" in (
        ran.last.failure.message
    )
    assert ran.ending.exit_code == 1


async def test_exit_while_loading(tmp_path: Path) -> None:
    """An exit while loading is an exit."""
    ran = await _run(_ActsWhenLoaded(_exits), tmp_path)

    assert (ran.said, ran.ending.exit_code) == (["Hello"], 3)


@pytest.mark.parametrize(("act", "number"), _DIES)
async def test_death_while_loading(
    tmp_path: Path, act: Callable[[], None], number: signal.Signals
) -> None:
    """A death while loading is a death."""
    ran = await _run(_ActsWhenLoaded(act), tmp_path)

    assert (ran.said, ran.ending.signal) == (["Hello"], number)


async def test_hang_while_loading(tmp_path: Path) -> None:
    """A program that never finishes loading can be stopped."""
    ran = await _run(_ActsWhenLoaded(_hangs), tmp_path, stop_at="Hello")

    assert (ran.ending.signal, ran.ending.stopped) == (signal.SIGTERM, True)


async def test_child_left_while_loading(tmp_path: Path) -> None:
    """A child that loading the program starts is swept, too."""
    ran = await _run(_ActsWhenLoaded(_leaves_a_daemon), tmp_path)

    assert (ran.said, ran.ending.swept) == (["Hello", "Done"], 1)


# ── between result and end ─────────────────────────────────────────────────


@pytest.mark.parametrize("act", [_raises, _exits])
async def test_exception_after_the_result(tmp_path: Path, act: Callable[[], None]) -> None:
    """What goes wrong after the result changes nothing."""
    ran = await _run(_ActsAfterDone(act), tmp_path)

    assert (ran.said, ran.ending.exit_code) == (["Hello", "Done"], 0)


@pytest.mark.parametrize(("act", "number"), _DIES)
async def test_death_after_the_result(
    tmp_path: Path, act: Callable[[], None], number: signal.Signals
) -> None:
    """A worker that dies after its result has still given it."""
    ran = await _run(_ActsAfterDone(act), tmp_path)

    assert (ran.said, ran.ending.signal) == (["Hello", "Done"], number)


async def test_hang_after_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does not end after its result is ended."""
    monkeypatch.setattr("aiotune.executors._process._LINGER", 0.05)

    ran = await _run(_ActsAfterDone(_hangs), tmp_path)

    assert ran.said == ["Hello", "Done"]
    assert (ran.ending.signal, ran.ending.stopped) == (signal.SIGKILL, False)


async def test_child_left_after_the_result(tmp_path: Path) -> None:
    """A child that is started in the last moment is swept."""
    ran = await _run(_ActsAfterDone(_leaves_a_child), tmp_path)

    assert (ran.said, ran.ending.swept) == (["Hello", "Done"], 1)
