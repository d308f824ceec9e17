"""One look for processes that were left behind, after each file instead of each of many small tests."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest


@pytest.fixture(autouse=True, scope="module")
def no_process_left() -> Iterator[None]:
    """Fail a file that leaves a child behind. Workers' own descendants die with their keepers."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child not in before]
    _, alive = psutil.wait_procs(left, 2)
    assert not alive, f"processes left behind: {alive}"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let everything block: what checks the errors is a part of aiotune, and looks at files."""
