"""Where attempts run: the seam between the scheduler and the processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiotune.errors import SpawnError
from aiotune.wire import (
    Discovered,
    DiskPaused,
    Done,
    Failed,
    Hello,
    Probed,
    Report,
    RunAttempt,
    RunProbe,
    RunWeighing,
    Weighed,
)

__all__ = ("Executor", "SpawnError", "WorkSpec", "Worker", "WorkerExit", "WorkerMessage")

Order = RunAttempt | RunWeighing | RunProbe
WorkerMessage = Hello | Discovered | Report | DiskPaused | Done | Probed | Weighed | Failed
"""What a worker may say."""


@dataclass(frozen=True, slots=True)
class WorkSpec:
    """One order for one worker.

    Attributes:
        order: What the worker is told.
        attempt_id: Unique over the life of the project; names the process's marker.
        log_path: Where stdout and stderr of the worker and of its children go.
    """

    order: Order
    attempt_id: str
    log_path: Path


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How a worker's process ended; returned only when its whole tree is gone.

    Attributes:
        exit_code: The worker's exit code, or ``None`` if a signal ended it.
        signal: Number of the signal that ended it, or ``None``.
        stopped: Whether this executor had asked it to stop.
        oom_kills: How much the kernel's count of out-of-memory kills rose meanwhile.
        peak_host_bytes: Largest resident set of the worker, if known.
        swept: Descendants that outlived the worker and had to be killed.
    """

    exit_code: int | None
    signal: int | None = None
    stopped: bool = False
    oom_kills: int = 0
    peak_host_bytes: int | None = None
    swept: int = 0


class Worker(Protocol):
    """One process at work on one order."""

    @property
    def pid(self) -> int | None:
        """The process's number, by which its CPU time is looked at; ``None``: it is none of its own."""
        ...

    def messages(self) -> AsyncIterator[WorkerMessage]:
        """Yield what the worker says; end when it can say no more. Iterate once."""
        ...

    def dump(self) -> None:
        """Have the stacks of all threads written to the log, where there is a process to do so."""
        ...

    async def finish_early(self, reason: str) -> None:
        """Ask the training to end soon and to give what it has; an executor that cannot does nothing."""
        ...

    async def stop(self, *, grace: float) -> None:
        """Ask the worker to end; after ``grace`` seconds, insist. Returns without waiting."""
        ...

    async def wait(self) -> WorkerExit:
        """Return when the process and all its descendants are gone."""
        ...


class Executor(Protocol):
    """Starts workers. Nothing above asks which executor it has."""

    async def launch(self, work: WorkSpec) -> Worker:
        """Start a worker on an order.

        Raises:
            SpawnError: No process could be started.
        """
        ...

    async def aclose(self) -> None:
        """End whatever still runs, and release all processes and descriptors."""
        ...
