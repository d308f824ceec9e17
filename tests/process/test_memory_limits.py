"""A worker's order says what it may take; the worker keeps to it and says how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from aiotune.executors import LocalExecutor
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory
from aiotune.memory import MemoryLimit
from aiotune.testing._processes import attempt_order, run_order
from aiotune.wire import Failed

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]

GIB = 1 << 30


class _Allocates:
    """Takes a little of the host's memory in the first trial, too much in the others."""

    def run_trial(self, trial: Any) -> float:
        return float(len(bytearray(1000 if trial.index == 0 else 2 * GIB)))


class _CountsProcessors:
    """Returns how many processors it may use."""

    def run_trial(self, trial: Any) -> float:
        return float(len(os.sched_getaffinity(0)))


async def test_only_the_trial_that_takes_too_much_fails(
    tmp_path: Path, executing: Executing
) -> None:
    """An allocation beyond the limit is that attempt's failure, told as one of the host's memory."""
    limit = MemoryLimit(bytes=GIB, device_total=0)

    async with executing(_Allocates()) as executor:
        small, large = [
            await run_order(executor, attempt_order(tmp_path, index=index, memory=limit))
            for index in (0, 1)
        ]

    assert small.last.metrics == {"score": 1000.0}
    assert isinstance(large.last, Failed)
    assert large.last.failure.kind is FailureKind.OUT_OF_MEMORY
    assert large.last.failure.memory == OutOfMemory(cause=MemoryCause.HOST)
    assert large.last.peak is None


async def test_worker_runs_on_the_processors_of_its_order(
    tmp_path: Path, executing: Executing
) -> None:
    """A worker is moved next to its device; its neighbours are not."""
    near = min(os.sched_getaffinity(0))

    async with executing(_CountsProcessors()) as executor:
        moved = await run_order(executor, attempt_order(tmp_path, index=0, cpus=[near]))
        free = await run_order(executor, attempt_order(tmp_path, index=1))

    assert moved.last.metrics == {"score": 1.0}
    assert free.last.metrics == {"score": float(len(os.sched_getaffinity(0)))}
