"""A child that the user's program forks while a search runs holds on to nothing of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from anyio import to_thread

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import attempt_order, leftovers
from aiotune.wire import Hello

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]


class _Hangs:
    """Never ends by itself."""

    def run_trial(self, trial: Any) -> float:
        threading.Event().wait()
        return 0.0


def _fork() -> int:
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(its, b"1")  # what a fork has to do is done
        signal.pause()
        os._exit(0)
    os.close(its)
    os.read(ours, 1)
    os.close(ours)
    return pid


def _sockets(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue  # the listing's own
    return {name for name in found if name.startswith("socket:")}


async def test_a_forked_child_holds_no_channel_of_a_trial(
    tmp_path: Path, executing: Executing
) -> None:
    """Channels of workers, keepers and nursery are closed in it, and only there: the trial ends as told."""
    work = attempt_order(tmp_path)
    before = await to_thread.run_sync(_sockets, os.getpid())
    async with executing(_Hangs()) as executor:
        worker = await executor.launch(work)
        assert isinstance(await worker.receive(), Hello)
        during = await to_thread.run_sync(_sockets, os.getpid())
        child = await to_thread.run_sync(_fork)
        try:
            held = await to_thread.run_sync(_sockets, child)
            await worker.stop(grace=0.0)
            ending = await worker.wait()
        finally:
            os.kill(child, signal.SIGKILL)
            await to_thread.run_sync(os.waitpid, child, 0)

    channels = during - before
    assert len(channels) >= 3, "a worker's, a keeper's and the nursery's"
    assert held & channels == set()
    assert ending.stopped
    assert await leftovers(work.attempt_id) == []
