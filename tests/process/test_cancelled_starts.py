"""A search that is cancelled while it opens or closes what it needs: nothing stays open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from aiotune.executors import LocalExecutor, _local
from aiotune.executors._nursery import Nursery
from aiotune.testing._processes import attempt_order, run_order
from aiotune.wire import Payload


class _Returns:
    def run_trial(self, trial: Any) -> float:
        return float(trial.index)


class Slow:
    """A function whose caller is cancelled before it returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.began, self.go_on = threading.Event(), threading.Event()

    def standing_in(self) -> Callable[..., Any]:
        """Return a function, which can be a class's method as well."""

        def function(*args: Any) -> Any:
            return self._call(*args)

        return function

    def _call(self, *args: Any) -> Any:
        result = self._function(*args)
        self.began.set()
        self.go_on.wait(10)
        return result


def held() -> tuple[int, list[psutil.Process]]:
    """Return how many descriptors this program has, and its children."""
    return len(list(Path("/proc/self/fd").iterdir())), psutil.Process().children()


@pytest.mark.parametrize("what", ["data", "log", "nursery"])
async def test_what_was_opened_for_a_cancelled_start_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """By a task's cancellation, as of asyncio.timeout: the memory of the data, a log, a process."""
    owner, name = {
        "data": (_local, "_prepare"),
        "log": (_local, "_open_log"),
        "nursery": (Nursery, "start"),
    }[what]
    slow = Slow(getattr(owner, name))
    monkeypatch.setattr(owner, name, slow.standing_in())
    before = await asyncio.to_thread(held)
    executor = LocalExecutor(Payload(_Returns()))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        launching = group.create_task(executor.launch(attempt_order(tmp_path)))
        await asyncio.to_thread(slow.began.wait)
        launching.cancel()
        await asyncio.sleep(0)
        slow.go_on.set()
    await executor.aclose()

    assert launching.cancelled()
    assert await asyncio.to_thread(held) == before


@pytest.mark.parametrize("steps", range(1, 5))
async def test_a_cancelled_end_is_an_end(tmp_path: Path, steps: int) -> None:
    """The nursery is gone, and the memory of the data given back, before the cancellation is raised."""
    before = await asyncio.to_thread(held)
    executor = await LocalExecutor.start(Payload(_Returns()))
    await run_order(executor, attempt_order(tmp_path))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        closing = group.create_task(executor.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()

    assert closing.cancelled()
    assert await asyncio.to_thread(held) == before
