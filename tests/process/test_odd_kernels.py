"""A kernel without pidfds, and a tuner that is the first process of its container."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import attempt_order, run_order
from aiotune.worker import _linux

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]
SCRIPT = Path(__file__).with_name("search_without_pidfds.py")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM], ids=["kernel", "sandbox"])
def test_search_without_pidfds_says_what_it_needs(tmp_path: Path, number: int) -> None:
    """An inline search needs none; one in processes says so before its project is opened."""
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(number)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ended.returncode == 77:
        pytest.skip("this sandbox installs no filter")

    assert ended.stdout.split() == ["2"]
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("aiotune.errors.SpawnError: Trials in processes of their own need pidfd")
    assert os.strerror(number) in last
    assert not (tmp_path / "local").exists()


@pytest.fixture
def first_process() -> Iterator[None]:
    """Adopt orphans for a while, as the first process of a container does."""
    _linux.become_subreaper()
    assert _linux.adopts_orphans()
    yield
    _linux._libc.prctl(_linux._PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert not _linux.adopts_orphans()


class _Waits:
    """Returns the trial's number, or waits to be stopped."""

    def run_trial(self, trial: Any) -> float:
        if trial.index == 0:
            signal.pause()
        return float(trial.index)


@pytest.mark.usefixtures("first_process")
async def test_keepers_of_a_dead_nursery_are_reaped(tmp_path: Path, executing: Executing) -> None:
    """What ended under it, and what ends after it, leaves no zombie; a child of the program's own is left alone."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as own:  # noqa: ASYNC220 - it ends at once
        async with executing(_Waits()) as executor:
            running = await executor.launch(attempt_order(tmp_path))
            await running.receive()
            nursery = executor.nursery_pid
            assert nursery is not None
            short = await executor.launch(attempt_order(tmp_path, index=1))
            os.kill(nursery, signal.SIGSTOP)  # it will not reap the keeper that ends now
            await short.wait()
            os.kill(nursery, signal.SIGKILL)
            await running.stop(grace=0.0)
            await running.wait()
            await run_order(executor, attempt_order(tmp_path, index=2))
            with anyio.fail_after(5):
                while (left := _zombies()) != {own.pid}:
                    await anyio.lowlevel.checkpoint()
            assert left == {own.pid}


@pytest.mark.usefixtures("first_process")
async def test_worker_of_a_dead_keeper_is_reaped(tmp_path: Path, executing: Executing) -> None:
    """The kernel kills it with its keeper, and it is this program's child then."""
    async with executing(_Waits()) as executor:
        running = await executor.launch(attempt_order(tmp_path))
        await running.receive()
        os.kill(running.keeper_pid, signal.SIGKILL)
        await running.wait()

        assert _zombies() == set()


def _zombies() -> set[int]:
    children = psutil.Process().children()
    return {child.pid for child in children if child.status() == psutil.STATUS_ZOMBIE}
