"""A nursery that one executor leaves to the next, used again only where nothing has changed; and its output."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from aiotune.executors import LocalExecutor
from aiotune.testing._processes import attempt_order, run_order

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]


class _Looks:
    """Prints where it runs, with which words and variable."""

    def run_trial(self, trial: Any) -> float:
        print(Path.cwd(), sys.argv[-1], os.environ.get("A_VARIABLE"))  # noqa: T201 - output is what is tested
        return 0.0


async def test_what_a_program_changes_between_two_executors_reaches_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executing: Executing
) -> None:
    """A directory, a word or a variable that is set after search_space_summary() is not the old one."""
    monkeypatch.delenv("A_VARIABLE", raising=False)
    async with executing(_Looks()) as first:
        await run_order(first, attempt_order(tmp_path / "first"))
        nursery = first.hand_over()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--fast"])
    monkeypatch.setenv("A_VARIABLE", "set")

    async with executing(_Looks(), nursery=nursery) as second:
        ran = await run_order(second, attempt_order(tmp_path / "second"))

    assert ran.log == f"{tmp_path} --fast set\n"


async def test_where_nothing_has_changed_the_nursery_is_used_again(
    tmp_path: Path, executing: Executing
) -> None:
    """What it has imported is not imported a second time."""
    async with executing(_Looks()) as first:
        await run_order(first, attempt_order(tmp_path / "first"))
        nursery = first.hand_over()
    assert nursery is not None
    pid = nursery.pid

    async with executing(_Looks(), nursery=nursery) as second:
        await run_order(second, attempt_order(tmp_path / "second"))
        assert second.nursery_pid == pid


async def test_no_temporary_directory_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executing: Executing
) -> None:
    """In a container whose files are read-only, but for the project, trials run."""

    def refuse(*_: Any) -> Any:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)

    async with executing(_Looks()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.last.metrics == {"score": 0.0}
