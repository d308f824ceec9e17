"""The local executor: its processes, whoever of them dies, and what it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import uvloop
from anyio import to_thread

from aiotune.errors import PayloadError
from aiotune.executors import LocalExecutor, SpawnError, WorkerExit
from aiotune.executors._process import ProcessWorker
from aiotune.testing._processes import (
    attempt_order,
    leftovers,
    run_order,
)
from aiotune.wire import Failed, Hello, Payload

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]


class _Succeeds:
    """Returns the trial's number."""

    def run_trial(self, trial: Any) -> float:
        return float(trial.index)


class _Hangs:
    """Starts a child, reports and never ends; neither process listens to SIGTERM."""

    def run_trial(self, trial: Any) -> float:
        from aiotune.worker._context import current_attempt

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            threading.Event().wait()
        context = current_attempt.get()
        assert context is not None
        context.report(0, {"score": 0.0})
        threading.Event().wait()
        return 0.0


# ── ordinary life ──────────────────────────────────────────────────────────


async def test_attempts_run_side_by_side(tmp_path: Path, executing: Executing) -> None:
    """Many attempts, several at a time: each result is its own."""
    results: dict[int, float] = {}

    async def lane(executor: LocalExecutor, start: int) -> None:
        for index in range(start, 12, 3):
            ran = await run_order(executor, attempt_order(tmp_path, index=index))
            results[index] = ran.last.metrics["score"]

    async with executing(_Succeeds()) as executor, anyio.create_task_group() as group:
        for start in range(3):
            group.start_soon(lane, executor, start)

    assert results == {index: float(index) for index in range(12)}


async def test_descriptors_do_not_accumulate(tmp_path: Path, executing: Executing) -> None:
    """After each attempt the tuner holds as many descriptors as before."""
    counts = []

    async with executing(_Succeeds()) as executor:
        for index in range(6):
            await run_order(executor, attempt_order(tmp_path, index=index))
            counts.append(await to_thread.run_sync(_count_descriptors))

    assert counts[1:] == [counts[1]] * 5


def _count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_every_event_loop_will_do(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop], executing: Executing
) -> None:
    """Launching, listening, stopping and closing work on asyncio and on uvloop."""

    async def main() -> list[Any]:
        async with executing(_Succeeds()) as executor:
            done = await run_order(executor, attempt_order(tmp_path))
        async with executing(_Hangs()) as executor:
            stopped = await run_order(
                executor, attempt_order(tmp_path, index=1), stop_at="Report", grace=0.05
            )
        return [done.said, stopped.said, stopped.ending.signal]

    with asyncio.Runner(loop_factory=factory) as runner:
        found = runner.run(main())

    assert found == [["Hello", "Done"], ["Hello", "Report"], signal.SIGKILL]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks_will_do(tmp_path: Path, executing: Executing) -> None:
    """A task that runs before its creator goes on changes nothing."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]

    async with executing(_Succeeds()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello", "Done"]


def test_executor_serves_one_loop_after_another(tmp_path: Path) -> None:
    """What was started in one event loop can be used and closed in the next."""
    executor = LocalExecutor(Payload(_Succeeds()), imports=())

    first = asyncio.run(run_order(executor, attempt_order(tmp_path, index=1)))
    second = asyncio.run(run_order(executor, attempt_order(tmp_path, index=2)))
    asyncio.run(executor.aclose())

    assert [first.last.metrics, second.last.metrics] == [{"score": 1.0}, {"score": 2.0}]


async def test_closing_ends_what_runs(tmp_path: Path, executing: Executing) -> None:
    """Closing leaves no worker, whatever it ignores and wherever its children hide."""
    works = [attempt_order(tmp_path, index=index) for index in range(3)]

    async with executing(_Hangs()) as executor:
        for work in works:
            assert isinstance(await (await executor.launch(work)).receive(), Hello)

    assert await leftovers(*(work.attempt_id for work in works)) == []


async def test_closing_wakes_who_listens(tmp_path: Path, executing: Executing) -> None:
    """A task that listens to a worker sees its end when the executor is closed."""
    endings: list[WorkerExit] = []

    async def listen(worker: ProcessWorker) -> None:
        async for _ in worker.messages():
            listening.set()
        endings.append(await worker.wait())

    listening = anyio.Event()
    async with anyio.create_task_group() as group, executing(_Hangs()) as executor:
        group.start_soon(listen, await executor.launch(attempt_order(tmp_path)))
        await listening.wait()

    assert [(ending.signal, ending.stopped) for ending in endings] == [(signal.SIGKILL, True)]


async def test_closing_interrupts_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor that is closed while its nursery imports does not wait for that."""
    (tmp_path / "never_imported.py").write_text("import threading; threading.Event().wait()")
    monkeypatch.syspath_prepend(tmp_path)
    refused: list[str] = []

    async def launch(executor: LocalExecutor) -> None:
        with pytest.raises(SpawnError) as caught:
            await executor.launch(attempt_order(tmp_path))
        refused.append(str(caught.value))

    async with anyio.create_task_group() as group:
        executor = await LocalExecutor.start(Payload(_Succeeds()), imports=("never_imported",))
        group.start_soon(launch, executor)
        await anyio.wait_all_tasks_blocked()
        await executor.aclose()

    assert len(refused) == 1


async def test_closed_executor_starts_nothing(tmp_path: Path, executing: Executing) -> None:
    """After closing, a launch is refused."""
    async with executing(_Succeeds()) as executor:
        pass

    with pytest.raises(SpawnError, match="closed"):
        await executor.launch(attempt_order(tmp_path))


async def test_cancelled_launch_leaves_nothing(tmp_path: Path, executing: Executing) -> None:
    """A launch that is cancelled at any moment leaves no process and no descriptor."""
    async with executing(_Hangs()) as executor:
        await run_order(executor, attempt_order(tmp_path), stop_at="Hello", grace=0.0)
        works = [attempt_order(tmp_path, index=index) for index in range(8)]
        for step, work in enumerate(works):
            with anyio.move_on_after(step * 0.001):
                worker = await executor.launch(work)
                await worker.stop(grace=0.0)
                await worker.wait()

    assert await leftovers(*(work.attempt_id for work in works)) == []


async def test_wait_may_come_first(tmp_path: Path, executing: Executing) -> None:
    """What a worker said can still be read after its end, and its end asked for again."""
    async with executing(_Succeeds()) as executor:
        worker = await executor.launch(attempt_order(tmp_path))
        ending = await worker.wait()
        said = [type(message).__name__ async for message in worker.messages()]
        await worker.stop(grace=0.0)

        assert said == ["Hello", "Done"]
        assert await worker.wait() == ending


async def test_worker_imports_only_what_it_needs(tmp_path: Path, executing: Executing) -> None:
    """No event loop, no scheduler, no journal and no back end gets into a worker."""

    class _Lists:
        def run_trial(self, trial: Any) -> float:
            print(*sorted(sys.modules))  # noqa: T201 - output is what is tested
            return 0.0

    async with executing(_Lists()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))
    modules = set(ran.log.split())

    assert "aiotune.worker._session" in modules
    forbidden = {"anyio", "asyncio", "aiotune_gpu", "keras", "tensorflow", "aiotune.store._journal"}
    forbidden |= {"aiotune.scheduler", "aiotune.oracles", "aiotune.executors"}
    assert modules & forbidden == set()


async def test_large_arrays_are_not_copied(tmp_path: Path, executing: Executing) -> None:
    """64 MiB reach a worker without becoming its own memory."""

    class _Sums:
        def run_trial(self, trial: Any, x: Any) -> dict[str, float]:
            total = float(x.sum())
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            own = next(line for line in lines if line.startswith("Anonymous"))
            return {"score": total, "own_mib": int(own.split()[1]) / 1024}

    array = np.ones(8 << 20)

    async with executing(_Sums(), array) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.last.metrics["score"] == 8 << 20
    assert ran.last.metrics["own_mib"] < 32


async def test_program_keeps_its_surroundings(
    tmp_path: Path, monkeypatch: Any, executing: Executing
) -> None:
    """A worker has the program's arguments, directory and module path."""

    class _Looks:
        def run_trial(self, trial: Any) -> float:
            import beside_the_program  # type: ignore[import-not-found] # made by this test

            print(Path.cwd(), *sys.argv)  # noqa: T201 - output is what is tested
            return float(beside_the_program.VALUE)

    (tmp_path / "beside_the_program.py").write_text("VALUE = 5")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--fast"])

    async with executing(_Looks()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.last.metrics == {"score": 5.0}
    assert ran.log == f"{tmp_path} train.py --fast\n"


async def test_worker_is_marked_and_bounded(tmp_path: Path, executing: Executing) -> None:
    """A worker has a session of its own, no core files and its attempt's name."""

    class _Looks:
        def run_trial(self, trial: Any) -> dict[str, float]:
            import resource

            print(os.environ["AIOTUNE_ATTEMPT"])  # noqa: T201 - output is what is tested
            return {
                "score": 0.0,
                "own_session": float(os.getsid(0) == os.getpid()),
                "core": float(resource.getrlimit(resource.RLIMIT_CORE)[0]),
                "oom": float(Path("/proc/self/oom_score_adj").read_text()),
            }

    async with executing(_Looks()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    metrics = ran.last.metrics
    assert (metrics["own_session"], metrics["core"]) == (1.0, 0.0)
    assert metrics["oom"] >= 500
    assert ran.log == f"{ran.work.attempt_id}\n"


async def test_stacks_can_be_dumped(tmp_path: Path, executing: Executing) -> None:
    """A worker that seems to hang shows where, and goes on."""
    work = attempt_order(tmp_path)

    async with executing(_Hangs()) as executor:
        worker = await executor.launch(work)
        await worker.receive()
        with anyio.fail_after(10):
            while "in run_trial" not in await to_thread.run_sync(work.log_path.read_text):
                worker.dump()
                await anyio.wait_all_tasks_blocked()
        assert not worker.has_ended


# ── refusals ───────────────────────────────────────────────────────────────


async def test_payload_that_cannot_travel_is_refused_at_the_start() -> None:
    """The executor says what cannot travel before anything is started."""
    with pytest.raises(PayloadError, match=r"args\[0\] is a frame"):
        await LocalExecutor.start(Payload(_Succeeds(), (sys._getframe(),)))


async def test_log_that_cannot_be_opened_is_refused(tmp_path: Path, executing: Executing) -> None:
    """An output log in an impossible place is no start of a worker."""
    (tmp_path / "trial_0000").write_text("a file is in the way")

    async with executing(_Succeeds()) as executor:
        with pytest.raises(SpawnError, match="cannot be opened"):
            await executor.launch(attempt_order(tmp_path))


async def test_garbage_on_the_channel_is_a_failure(tmp_path: Path, executing: Executing) -> None:
    """A program that writes to foreign descriptors fails its trial, not the tuner."""

    class _Scribbles:
        def run_trial(self, trial: Any) -> float:
            for fd in range(3, 64):
                try:
                    os.write(fd, b"\xff" * 64)
                except OSError:
                    continue
            threading.Event().wait()
            return 0.0

    async with executing(_Scribbles()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert isinstance(ran.last, Failed)
    assert ran.last.failure.type == "FrameError"
    assert ran.ending.signal == signal.SIGKILL


async def test_garbage_that_comes_with_a_message_is_seen_at_once(
    tmp_path: Path, executing: Executing
) -> None:
    """A greeting and garbage in one piece: the trial fails although nothing follows."""

    class _Scribbles:
        def run_trial(self, trial: Any) -> float:
            for fd in range(3, 64):
                with contextlib.suppress(OSError):
                    os.write(fd, b"\xff" * 64)
            print("scribbled", flush=True)  # noqa: T201 - the test waits for it
            threading.Event().wait()
            return 0.0

    async with executing(_Scribbles()) as executor:
        work = attempt_order(tmp_path)
        worker = await executor.launch(work)
        while not await to_thread.run_sync(work.log_path.read_bytes):
            await anyio.lowlevel.checkpoint()
        said = [message async for message in worker.messages()]
        await worker.wait()

    assert [type(message) for message in said] == [Hello, Failed]


async def test_channel_held_by_a_child_does_not_delay_the_end(
    tmp_path: Path, executing: Executing
) -> None:
    """The worker's death ends the messages, although its child still holds the channel."""

    class _Forks:
        def run_trial(self, trial: Any) -> float:
            if os.fork() == 0:
                signal.pause()
            os._exit(4)

    async with executing(_Forks()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello"]
    assert (ran.ending.exit_code, ran.ending.swept) == (4, 1)
