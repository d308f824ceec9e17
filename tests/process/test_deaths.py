"""Whoever of the family dies: worker, keeper, nursery or tuner."""

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
from anyio import to_thread

from aiotune.executors import LocalExecutor, SpawnError
from aiotune.testing._processes import (
    attempt_order,
    leftovers,
    run_order,
)
from aiotune.wire import Hello, Report

_HERE = Path(__file__).parent

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]


class _Succeeds:
    """Returns the trial's number."""

    def run_trial(self, trial: Any) -> float:
        return float(trial.index)


class _Hangs:
    """Starts a child, reports and never ends; neither process listens to SIGTERM."""

    def run_trial(self, trial: Any) -> float:
        from aiotune.worker._context import current_attempt

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            threading.Event().wait()
        context = current_attempt.get()
        assert context is not None
        context.report(0, {"score": 0.0})
        threading.Event().wait()
        return 0.0


async def _gone(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with anyio.fail_after(10):
        await anyio.wait_readable(pidfd)
    os.close(pidfd)


async def test_running_attempts_outlive_the_nursery(
    tmp_path: Path, executing: Executing, log: Any
) -> None:
    """The nursery's death ends no attempt, and the next launch starts another nursery."""

    class _WaitsForFile:
        def run_trial(self, trial: Any) -> float:
            with Path(f"{trial.trial_id}.fifo").open() as file:
                return float(file.read())

    os.mkfifo(tmp_path / "0000.fifo")
    os.mkfifo(tmp_path / "0001.fifo")
    directory = Path.cwd()
    os.chdir(tmp_path)
    try:
        async with executing(_WaitsForFile(), log=log) as executor:
            first = await executor.launch(attempt_order(tmp_path))
            await first.receive()
            assert executor.nursery_pid is not None
            os.kill(executor.nursery_pid, signal.SIGKILL)
            await _gone(executor.nursery_pid)
            second = await executor.launch(attempt_order(tmp_path, index=1))
            await to_thread.run_sync((tmp_path / "0000.fifo").write_text, "1")
            await to_thread.run_sync((tmp_path / "0001.fifo").write_text, "2")
            results = [
                [m.metrics async for m in worker.messages() if hasattr(m, "metrics")]
                for worker in (first, second)
            ]
            endings = [(await worker.wait()).exit_code for worker in (first, second)]
    finally:
        os.chdir(directory)

    assert results == [[{"score": 1.0}], [{"score": 2.0}]]
    assert endings == [0, 0]
    assert log.names.count("nursery_ready") == 2
    assert "nursery_lost" in log.names


async def test_nursery_that_cannot_live_is_a_spawn_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executing: Executing
) -> None:
    """A module that kills whoever imports it is named, with the nursery's last words."""
    (tmp_path / "deadly_import.py").write_text("import os; print('so long'); os.abort()")
    monkeypatch.syspath_prepend(tmp_path)

    async with executing(_Succeeds(), imports=("deadly_import",)) as executor:
        with pytest.raises(SpawnError, match=r"had to import deadly_import(.|\n)*so long"):
            await executor.launch(attempt_order(tmp_path))


async def test_nurseries_that_die_at_every_fork_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executing: Executing
) -> None:
    """A nursery that dies of each request is replaced a few times, then it is an error."""
    (tmp_path / "deadly_fork.py").write_text(
        "import os\nos.register_at_fork(before=lambda: os._exit(1))"
    )
    monkeypatch.syspath_prepend(tmp_path)

    async with executing(_Succeeds(), imports=("deadly_fork",)) as executor:
        with pytest.raises(SpawnError, match="3 processes that fork workers ended"):
            await executor.launch(attempt_order(tmp_path))


async def test_failed_import_is_left_to_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executing: Executing
) -> None:
    """A module that cannot be imported ahead of need stops no worker."""
    (tmp_path / "broken_import.py").write_text("raise ValueError('broken')")
    monkeypatch.syspath_prepend(tmp_path)

    async with executing(_Succeeds(), imports=("broken_import",)) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello", "Done"]


async def test_death_of_a_keeper_ends_its_tree(tmp_path: Path, executing: Executing) -> None:
    """If a keeper is killed the kernel ends the worker, and the tuner what the worker left."""
    work = attempt_order(tmp_path)

    async with executing(_Hangs()) as executor:
        worker = await executor.launch(work)
        assert isinstance(await worker.receive(), Hello)
        assert isinstance(await worker.receive(), Report)
        os.kill(worker.keeper_pid, signal.SIGKILL)
        said = [message async for message in worker.messages()]
        ending = await worker.wait()

        assert said == []
        assert (ending.signal, ending.swept) == (signal.SIGKILL, 1)
        assert await leftovers(work.attempt_id) == []


def test_death_of_the_tuner_ends_everything(tmp_path: Path) -> None:
    """Two seconds after the tuner was killed nothing of it is left."""
    tuner = subprocess.Popen(
        [sys.executable, str(_HERE / "tuner_to_kill.py"), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert tuner.stdout is not None
    words = tuner.stdout.readline().split()
    pidfds = [os.pidfd_open(int(pid)) for pid in words]

    tuner.kill()
    left = _wait_for_ends(pidfds, seconds=2.0)
    tuner.wait()
    tuner.stdout.close()

    assert len(words) == 1 + 2 * 3  # a nursery; per attempt a keeper, a worker and its child
    assert left == 0


def _wait_for_ends(pidfds: list[int], seconds: float) -> int:
    """Wait for processes to end; return how many had not when the time was over."""
    import select
    import time

    over = time.monotonic() + seconds
    poll = select.poll()
    for fd in pidfds:
        poll.register(fd, select.POLLIN)
    while pidfds and time.monotonic() < over:
        for fd, _ in poll.poll(max(0.0, over - time.monotonic()) * 1000):
            poll.unregister(fd)
            pidfds.remove(fd)
            os.close(fd)
    return len(pidfds)
