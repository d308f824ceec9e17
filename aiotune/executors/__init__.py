"""Where attempts run: in processes, in this process, or in a simulation."""

from aiotune.executors._base import (
    Executor,
    SpawnError,
    WorkSpec,
    Worker,
    WorkerExit,
    WorkerMessage,
)

__all__ = (
    "Executor",
    "SpawnError",
    "WorkSpec",
    "Worker",
    "WorkerExit",
    "WorkerMessage",
)
