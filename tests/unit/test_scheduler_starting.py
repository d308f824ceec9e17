"""Starting a worker on a host that has no room for it now."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any, cast

import pytest

from aiotune._offload import InlineOffloader
from aiotune.executors import Executor, SpawnError, Worker, WorkSpec
from aiotune.scheduler import _starting
from aiotune.scheduler._outcomes import not_started, of_another
from aiotune.scheduler._starting import start_worker
from aiotune.testing._processes import attempt_order
from aiotune.testing._simulation import RecordingLog
from aiotune.wire import Done

pytestmark = pytest.mark.virtual_time
WORKER = cast("Worker", object())


@pytest.fixture(autouse=True)
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no disk for its space: on virtual time a thread is this one."""
    monkeypatch.setattr(_starting, "free_bytes", lambda folder: 0)


class Refuses:
    """Refuses so many launches with an error, then starts."""

    def __init__(self, times: float, code: int) -> None:
        self.left, self.tries, self._code = times, 0, code

    async def launch(self, work: WorkSpec) -> Worker:
        self.tries += 1
        self.left -= 1
        if self.left >= 0:
            raise SpawnError("It cannot be started.") from OSError(
                self._code, os.strerror(self._code)
            )
        return WORKER


async def start(
    refuses: Refuses, tmp_path: Path, *, for_seconds: float = 1e9
) -> tuple[Any, RecordingLog, float]:
    """Start a worker while it is wanted; return it, what was logged, and how long that took."""
    loop, log = asyncio.get_running_loop(), RecordingLog()
    began = loop.time()
    work = attempt_order(tmp_path)
    worker = await start_worker(
        cast("Executor", refuses),
        work,
        log,
        lambda: loop.time() - began < for_seconds,
        InlineOffloader(),
    )
    return worker, log, loop.time() - began


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_waited_for(tmp_path: Path, code: int) -> None:
    """Ten minutes without a place for the worker's output: told each minute, and then it starts."""
    worker, log, took = await start(Refuses(600, code), tmp_path)

    assert worker is WORKER
    assert took == pytest.approx(600, abs=1)
    assert len(log.named("disk_full")) == 10
    assert [event["waited"] for event in log.named("disk_has_space")] == [600.0]
    assert log.named("spawn_failed") == []


async def test_a_host_that_starts_nothing_is_asked_again_for_two_minutes(tmp_path: Path) -> None:
    """Further and further apart; then the error is the caller's."""
    refuses = Refuses(1e9, errno.EAGAIN)
    began = asyncio.get_running_loop().time()

    with pytest.raises(SpawnError):
        await start(refuses, tmp_path)
    assert refuses.tries == 8
    assert 80 < asyncio.get_running_loop().time() - began < 145


async def test_what_does_not_pass_is_not_waited_for(tmp_path: Path) -> None:
    """A link in the place of a folder, or a right that is missing, is told at once."""
    for code in (errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EROFS):
        refuses = Refuses(1e9, code)
        with pytest.raises(SpawnError):
            await start(refuses, tmp_path)
        assert refuses.tries == 1


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOSPC])
async def test_a_stop_ends_the_wait(tmp_path: Path, code: int) -> None:
    """Within a second nobody tries any more, however long the next wait would have been."""
    worker, _, took = await start(Refuses(1e9, code), tmp_path, for_seconds=30)

    assert worker is None
    assert took <= 31


async def test_attempts_that_were_refused_at_once_do_not_come_back_at_once(tmp_path: Path) -> None:
    """Each waits a little more or less, by its own id, so that a simulation repeats."""
    delays = set()
    for index in range(5):
        log = RecordingLog()
        work = attempt_order(tmp_path, index=index, attempt_id=f"{index}-01-fixed")
        await start_worker(
            cast("Executor", Refuses(3, errno.EAGAIN)), work, log, lambda: True, InlineOffloader()
        )
        delays.add(log.named("spawn_failed")[2]["delay"])

    assert len(delays) > 1
    assert all(1.5 <= delay <= 2.5 for delay in delays)


def test_a_result_of_another_attempt_is_a_failure_that_names_it() -> None:
    """Something wrote to the channel that was not asked to."""
    done = Done(metrics={}, best_step=0, executions=[], values={}, entries=[], attempt_id="7-02-bb")
    failed = of_another(done)

    assert (failed.failure.kind, failed.failure.type) == ("error", "FrameError")
    assert "'7-02-bb'" in failed.failure.message


def test_an_attempt_that_was_never_started_uses_up_no_retry() -> None:
    """It is recorded with the system's own words."""
    failure = not_started(SpawnError("The system refused to fork a worker: EAGAIN."))

    assert failure.kind == "spawn_failed"
    assert not failure.kind.uses_up_a_retry
    assert "EAGAIN" in failure.message
