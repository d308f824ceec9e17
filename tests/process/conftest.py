"""What every test with real processes is checked for: nothing is left."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import psutil
import pytest


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
