"""The process that forks workers dies, is stopped or hangs while it is needed."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiotune.errors import SpawnError
from aiotune.executors import LocalExecutor
from aiotune.executors._nursery import Nursery
from aiotune.testing._processes import attempt_order, run_order

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Awaitable[None]]:
    """Give a wait until so many requests have been sent to nurseries, from the fixture's begin on."""
    original, sent = Nursery._started, []

    async def counting(*args: Any) -> Any:
        sent.append(args)
        return await original(*args)

    async def wait(count: int) -> None:
        while len(sent) < count:
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(Nursery, "_started", counting)
    return wait


class _Succeeds:
    """Returns the trial's number."""

    def run_trial(self, trial: Any) -> float:
        return float(trial.index)


async def test_launches_that_wait_for_a_nursery_that_dies_get_another(
    tmp_path: Path, executing: Executing, log: Any, asked: Callable[[int], Awaitable[None]]
) -> None:
    """Three wait at once when it is killed: one new nursery starts the workers of all three."""
    ran: list[Any] = []

    async def run(index: int) -> None:
        ran.append((await run_order(executor, attempt_order(tmp_path, index=index))).last.metrics)

    async with executing(_Succeeds(), log=log) as executor:
        await run_order(executor, attempt_order(tmp_path))
        assert executor.nursery_pid is not None
        os.kill(executor.nursery_pid, signal.SIGSTOP)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for index in (1, 2, 3):
                    tasks.start_soon(run, index)
                await asked(1 + 3)
                os.kill(executor.nursery_pid, signal.SIGKILL)

    assert sorted(metrics["score"] for metrics in ran) == [1.0, 2.0, 3.0]
    assert log.names.count("nursery_ready") == 2


async def test_nursery_that_does_not_answer_is_replaced(
    tmp_path: Path, executing: Executing, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is stopped, and stays so, is given up after a while, whoever waits for it."""
    monkeypatch.setattr("aiotune.executors._nurseries._ANSWER", 0.5)
    async with executing(_Succeeds(), log=log) as executor:
        await run_order(executor, attempt_order(tmp_path))
        stopped = executor.nursery_pid
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        with anyio.fail_after(30):
            ran = await run_order(executor, attempt_order(tmp_path, index=1))

        assert executor.nursery_pid != stopped
    assert ran.last.metrics == {"score": 1.0}
    assert [fields["pid"] for name, fields in log.events if name == "nursery_silent"] == [stopped]


async def test_import_that_does_not_end_is_a_spawn_error_with_its_stack(
    tmp_path: Path, executing: Executing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever for a module that waits when it is imported; it is seen where it does."""
    (tmp_path / "waits_for_ever.py").write_text("import threading; threading.Event().wait()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("aiotune.executors._nurseries._IMPORT", 1.5)
    async with executing(_Succeeds(), imports=("waits_for_ever",)) as executor:
        with anyio.fail_after(30), pytest.raises(SpawnError, match="waits_for_ever") as raised:
            await executor.launch(attempt_order(tmp_path))

    assert 'waits_for_ever.py", line 1' in str(raised.value)


async def test_closing_frees_who_waits_for_a_nursery(
    tmp_path: Path, executing: Executing, asked: Callable[[int], Awaitable[None]]
) -> None:
    """A launch that waits for a stopped nursery ends with its executor."""
    refused: list[SpawnError] = []

    async def launch() -> None:
        try:
            await executor.launch(attempt_order(tmp_path, index=1))
        except SpawnError as error:
            refused.append(error)

    async with executing(_Succeeds()) as executor:
        await run_order(executor, attempt_order(tmp_path))
        assert executor.nursery_pid is not None
        os.kill(executor.nursery_pid, signal.SIGSTOP)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(launch)
                await asked(1 + 1)
                await executor.aclose()

    assert len(refused) == 1
