"""A tuner that runs two attempts for ever, names all its processes, and waits to be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import psutil

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import attempt_order
from aiotune.wire import Payload


class HangsWithChild:
    """Has a child in a session of its own; both ignore what they are asked."""

    def run_trial(self, trial: Any) -> float:
        """Report when the child exists, then wait for ever."""
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


async def main(directory: Path) -> None:
    """Start two attempts and print the pids of nursery, keepers, workers and children."""
    executor = LocalExecutor(Payload(HangsWithChild()), imports=())
    pids: list[int] = []
    for index in range(2):
        worker = await executor.launch(attempt_order(directory, index=index))
        await worker.receive()
        await worker.receive()
        child = psutil.Process(worker.pid).children()[0].pid
        pids += [worker.keeper_pid, worker.pid, child]
    print(executor.nursery_pid, *pids, flush=True)  # noqa: T201 - output is what is tested
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
