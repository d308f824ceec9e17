"""Workers in fresh interpreters, for where a fork cannot be trusted.

An interpreter that has imported keras takes seconds to come up, so one is
always started ahead of need: it imports, and waits for its order. Each serves
one attempt. Their keepers are the same as those of forked workers: a nursery
that has imported nothing forks them, and they execute the interpreter.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import anyio

from aiotune.executors._nursery import Nursery
from aiotune.executors._process import ProcessWorker

__all__ = ("StandbyWorkers",)


class StandbyWorkers:
    """Hands out fresh workers; the next one is always on its way.

    Args:
        fork: Forks a worker that executes an interpreter, given its marker and
            where its output goes until it has its attempt's log.
    """

    def __init__(
        self,
        fork: Callable[[str, Callable[[Nursery], int]], Awaitable[ProcessWorker]],
    ) -> None:
        self._fork = fork
        self._next: ProcessWorker | None = None
        self._taking = anyio.Lock()

    async def take(self, attempt_id: str, log_fd: int) -> ProcessWorker:
        """Return a worker for an attempt, still without its order.

        Raises:
            SpawnError: No process could be started.
        """
        async with self._taking:
            worker, self._next = self._next, None
            if worker is None or worker.has_ended:  # its executor reaps it when it closes
                worker = await self._start()
            worker.adopt(attempt_id, log_fd)
            return worker

    async def prepare(self) -> None:
        """Start the next worker, if there is none."""
        async with self._taking:
            if self._next is None:
                self._next = await self._start()

    async def _start(self) -> ProcessWorker:
        name = f"standby-{uuid.uuid4().hex[:8]}"
        return await self._fork(name, lambda nursery: nursery.output_fd)
