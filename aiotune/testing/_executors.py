"""What every executor must keep to, as checks that a plugin's tests can run.

::

    @pytest.mark.parametrize("check", EXECUTOR_CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check, tmp_path):
        await check(lambda behaviour: MyExecutor(Payload(Behaving(behaviour))), tmp_path)

Each takes what makes an executor whose trials behave as told, and a directory
for output. It raises ``AssertionError`` with the rule that was broken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, assert_never

import anyio

from aiotune.executors import Executor, SpawnError, Worker, WorkerExit
from aiotune.testing._processes import Ran, attempt_order, run_order
from aiotune.wire import Done, Failed, Hello, Report

__all__ = (
    "EXECUTOR_CHECKS",
    "Behaving",
    "Behaviour",
    "MakeExecutor",
    "check_close_ends_what_runs",
    "check_closed_executor_refuses",
    "check_end_without_result_has_its_code",
    "check_exception_is_reported",
    "check_reports_come_in_order",
    "check_result_is_the_last_word",
    "check_stop_after_the_end_is_harmless",
    "check_stop_ends_a_trial_that_hangs",
    "check_the_process_is_named",
    "check_workers_do_not_mix",
)


class Behaviour(StrEnum):
    """What a trial does."""

    SUCCEEDS = "succeeds"
    """Returns its index as the score."""
    REPORTS = "reports"
    """Reports steps 0 and 1, then succeeds."""
    RAISES = "raises"
    """Raises ``ValueError("on purpose")``."""
    EXITS = "exits"
    """Ends its process with code 3 and no result."""
    HANGS = "hangs"
    """Reports step 0 and waits for ever."""


MakeExecutor = Callable[[Behaviour], Executor]
Check = Callable[[MakeExecutor, Path], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Behaving:
    """A payload's target whose trials behave as told.

    Args:
        behaviour: How.
    """

    behaviour: Behaviour

    def run_trial(self, trial: Any) -> Any:
        """Do it; what hangs is a coroutine, so that an event loop can be its home, too."""
        from aiotune.worker._context import current_attempt

        context = current_attempt.get()
        assert context is not None
        match self.behaviour:
            case Behaviour.RAISES:
                raise ValueError("on purpose")
            case Behaviour.EXITS:
                raise SystemExit(3)
            case Behaviour.HANGS:
                context.report(0, {"score": 0.0})
                return _hang()
            case Behaviour.REPORTS:
                context.report(0, {"score": 0.5})
                context.report(1, {"score": 0.25})
            case Behaviour.SUCCEEDS:
                pass  # without more ado
            case _:
                assert_never(self.behaviour)
        return float(trial.index)


async def _hang() -> None:
    import asyncio

    await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def _closing(executor: Executor) -> AsyncIterator[Executor]:
    try:
        yield executor
    finally:
        await executor.aclose()


async def _ran(make: MakeExecutor, behaviour: Behaviour, directory: Path, **options: Any) -> Ran:
    async with _closing(make(behaviour)) as executor:
        return await run_order(executor, attempt_order(directory), **options)


async def check_result_is_the_last_word(make: MakeExecutor, directory: Path) -> None:
    """A trial that succeeds says ``Done`` last, and its process ends with code 0."""
    ran = await _ran(make, Behaviour.SUCCEEDS, directory)
    assert isinstance(ran.last, Done), f"the last message must be Done, not {ran.last!r}"
    assert ran.last.metrics == {"score": 0.0}
    assert ran.ending.exit_code == 0
    assert not ran.ending.stopped, "nobody had asked it to stop"


async def check_reports_come_in_order(make: MakeExecutor, directory: Path) -> None:
    """Reports arrive before the result, in the order of their steps."""
    ran = await _ran(make, Behaviour.REPORTS, directory)
    steps = [message.step for message in ran.messages if isinstance(message, Report)]
    assert steps == [0, 1], f"steps 0 and 1 were reported, and {steps} arrived"
    assert isinstance(ran.last, Done)


async def check_exception_is_reported(make: MakeExecutor, directory: Path) -> None:
    """An exception of the user's is a ``Failed`` message with its class and text."""
    ran = await _ran(make, Behaviour.RAISES, directory)
    assert isinstance(ran.last, Failed), f"the last message must be Failed, not {ran.last!r}"
    assert ran.last.failure.summary() == "ValueError: on purpose"
    assert ran.ending.exit_code == 1


async def check_end_without_result_has_its_code(make: MakeExecutor, directory: Path) -> None:
    """A process that ends by itself without a result ends the messages and shows its code."""
    ran = await _ran(make, Behaviour.EXITS, directory)
    assert not any(isinstance(message, (Done, Failed)) for message in ran.messages)
    assert (ran.ending.exit_code, ran.ending.signal) == (3, None)


async def check_stop_ends_a_trial_that_hangs(make: MakeExecutor, directory: Path) -> None:
    """A worker that is asked to stop ends its messages and its process, and is known as stopped."""
    ran = await _ran(make, Behaviour.HANGS, directory, stop_at="Report", grace=1.0)
    assert not isinstance(ran.last, Done)
    assert ran.ending.stopped, "an end that was asked for must be marked"


async def check_stop_after_the_end_is_harmless(make: MakeExecutor, directory: Path) -> None:
    """Stopping what has ended does nothing, and its end can be asked for again."""
    async with _closing(make(Behaviour.SUCCEEDS)) as executor:
        worker = await executor.launch(attempt_order(directory))
        said = [message async for message in worker.messages()]
        ending = await worker.wait()
        await worker.stop(grace=0.0)
    assert isinstance(said[-1], Done)
    assert ending.exit_code == 0


async def check_the_process_is_named(make: MakeExecutor, directory: Path) -> None:
    """A worker that is a process has its number from the start, the one that it says of itself."""
    async with _closing(make(Behaviour.SUCCEEDS)) as executor:
        worker = await executor.launch(attempt_order(directory))
        number = worker.pid
        said = [message async for message in worker.messages()]
        await worker.wait()
    own = [message.pid for message in said if isinstance(message, Hello)]
    assert number is None or own == [number], f"process {number} says that it is {own}"


async def check_workers_do_not_mix(make: MakeExecutor, directory: Path) -> None:
    """Two workers at once: each says what is its own."""
    results: dict[int, Any] = {}

    async def run(executor: Executor, index: int) -> None:
        ran = await run_order(executor, attempt_order(directory, index=index))
        results[index] = ran.last.metrics

    async with _closing(make(Behaviour.SUCCEEDS)) as executor, anyio.create_task_group() as group:
        for index in (1, 2):
            group.start_soon(run, executor, index)
    assert results == {1: {"score": 1.0}, 2: {"score": 2.0}}


async def check_close_ends_what_runs(make: MakeExecutor, directory: Path) -> None:
    """Closing an executor ends its workers; who waits for one learns that."""
    endings: list[WorkerExit] = []

    async def listen(worker: Worker) -> None:
        async for _ in worker.messages():
            heard.set()
        endings.append(await worker.wait())

    heard = anyio.Event()
    async with anyio.create_task_group() as group, _closing(make(Behaviour.HANGS)) as executor:
        group.start_soon(listen, await executor.launch(attempt_order(directory)))
        await heard.wait()
    assert [ending.stopped for ending in endings] == [True]


async def check_closed_executor_refuses(make: MakeExecutor, directory: Path) -> None:
    """A closed executor starts nothing, and may be closed again."""
    executor = make(Behaviour.SUCCEEDS)
    await executor.aclose()
    await executor.aclose()
    try:
        await executor.launch(attempt_order(directory))
    except SpawnError:
        return
    raise AssertionError("launch() after aclose() must raise SpawnError")


EXECUTOR_CHECKS: tuple[Check, ...] = (
    check_result_is_the_last_word,
    check_reports_come_in_order,
    check_exception_is_reported,
    check_end_without_result_has_its_code,
    check_stop_ends_a_trial_that_hangs,
    check_stop_after_the_end_is_harmless,
    check_the_process_is_named,
    check_workers_do_not_mix,
    check_close_ends_what_runs,
    check_closed_executor_refuses,
)
"""All checks, in the order in which they are best read."""
