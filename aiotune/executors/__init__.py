"""Where attempts run: in processes, in this process, or in a simulation."""

from aiotune.executors._base import (
    Executor,
    SpawnError,
    Worker,
    WorkerExit,
    WorkerMessage,
    WorkSpec,
)

__all__ = (
    "Executor",
    "SpawnError",
    "WorkSpec",
    "Worker",
    "WorkerExit",
    "WorkerMessage",
)
