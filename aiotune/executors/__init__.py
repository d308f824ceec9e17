"""Where attempts run: in processes, in this process, or in a simulation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aiotune.executors._base import (
    Executor,
    SpawnError,
    Worker,
    WorkerExit,
    WorkerMessage,
    WorkSpec,
)

if TYPE_CHECKING:
    from aiotune.executors._inline import InlineExecutor as InlineExecutor
    from aiotune.executors._local import LocalExecutor as LocalExecutor
    from aiotune.executors._simulated import Script as Script
    from aiotune.executors._simulated import SimulatedExecutor as SimulatedExecutor

__all__ = (
    "Executor",
    "InlineExecutor",
    "LocalExecutor",
    "Script",
    "SimulatedExecutor",
    "SpawnError",
    "WorkSpec",
    "Worker",
    "WorkerExit",
    "WorkerMessage",
)

# A search uses one of them, and each brings modules that the others do not need.
_HOMES = {
    "InlineExecutor": "aiotune.executors._inline",
    "LocalExecutor": "aiotune.executors._local",
    "Script": "aiotune.executors._simulated",
    "SimulatedExecutor": "aiotune.executors._simulated",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aiotune.executors' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
