"""What every test with real processes is checked for: nothing is left."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest

from aiotune.executors import LocalExecutor
from aiotune.wire import Payload


class RecordingLog:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """Remember an event."""
        self.events.append((event, fields))

    warning = info

    @property
    def names(self) -> list[str]:
        """The events' names, in order."""
        return [name for name, _ in self.events]


@pytest.fixture
def log() -> RecordingLog:
    """Give a log that can be looked at."""
    return RecordingLog()


@pytest.fixture
def executing() -> Callable[..., AbstractAsyncContextManager[LocalExecutor]]:
    """Give a maker of executors that import nothing unless told, closed at the block's end."""

    @asynccontextmanager
    async def execute(target: Any, *args: Any, **options: Any) -> AsyncIterator[LocalExecutor]:
        executor = LocalExecutor(Payload(target, args), **{"imports": (), **options})
        try:
            yield executor
        finally:
            await executor.aclose()

    return execute


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a process or a descriptor behind."""
    gc.collect()
    fds = _descriptors()
    yield
    gc.collect()
    left = psutil.Process().children(recursive=True)
    assert left == [], f"processes left: {left}"
    assert _descriptors() - fds == set()


def _descriptors() -> set[str]:
    # By what they are, not by number; an event loop's own are gone with it.
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the listing's own
        if not target.startswith(("/dev/", "anon_inode:[eventpoll]", "pipe:")):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def targets_by_value(request: pytest.FixtureRequest) -> Iterator[None]:
    """Send a test's targets in whole: a worker should not import pytest to find them."""
    cloudpickle.register_pickle_by_value(request.module)
    yield
    cloudpickle.unregister_pickle_by_value(request.module)
