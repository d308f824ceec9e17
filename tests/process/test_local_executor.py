"""The local executor: its processes, whoever of them dies, and what it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
    probe_order,
    run_order,
)
from aiotune.wire import Failed, Hello, Payload, Probed, Report

_HERE = Path(__file__).parent


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


class _Log:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    warning = info

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@asynccontextmanager
async def _executor(target: Any, *args: Any, **options: Any) -> AsyncIterator[LocalExecutor]:
    executor = LocalExecutor(Payload(target, args), **{"imports": (), **options})
    try:
        yield executor
    finally:
        await executor.aclose()


async def _gone(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with anyio.fail_after(10):
        await anyio.wait_readable(pidfd)
    os.close(pidfd)


# ── ordinary life ──────────────────────────────────────────────────────────


async def test_attempts_run_side_by_side(tmp_path: Path) -> None:
    """Many attempts, several at a time: each result is its own."""
    results: dict[int, float] = {}

    async def lane(executor: LocalExecutor, start: int) -> None:
        for index in range(start, 12, 3):
            ran = await run_order(executor, attempt_order(tmp_path, index=index))
            results[index] = ran.last.metrics["score"]

    async with _executor(_Succeeds()) as executor, anyio.create_task_group() as group:
        for start in range(3):
            group.start_soon(lane, executor, start)

    assert results == {index: float(index) for index in range(12)}


async def test_descriptors_do_not_accumulate(tmp_path: Path) -> None:
    """After each attempt the tuner holds as many descriptors as before."""
    counts = []

    async with _executor(_Succeeds()) as executor:
        for index in range(6):
            await run_order(executor, attempt_order(tmp_path, index=index))
            counts.append(await to_thread.run_sync(_count_descriptors))

    assert counts[1:] == [counts[1]] * 5


def _count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_every_event_loop_will_do(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Launching, listening, stopping and closing work on asyncio and on uvloop."""

    async def main() -> list[Any]:
        async with _executor(_Succeeds()) as executor:
            done = await run_order(executor, attempt_order(tmp_path))
        async with _executor(_Hangs()) as executor:
            stopped = await run_order(
                executor, attempt_order(tmp_path, index=1), stop_at="Report", grace=0.05
            )
        return [done.said, stopped.said, stopped.ending.signal]

    with asyncio.Runner(loop_factory=factory) as runner:
        found = runner.run(main())

    assert found == [["Hello", "Done"], ["Hello", "Report"], signal.SIGKILL]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks_will_do(tmp_path: Path) -> None:
    """A task that runs before its creator goes on changes nothing."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]

    async with _executor(_Succeeds()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello", "Done"]


def test_executor_serves_one_loop_after_another(tmp_path: Path) -> None:
    """What was started in one event loop can be used and closed in the next."""
    executor = LocalExecutor(Payload(_Succeeds()), imports=())

    first = asyncio.run(run_order(executor, attempt_order(tmp_path, index=1)))
    second = asyncio.run(run_order(executor, attempt_order(tmp_path, index=2)))
    asyncio.run(executor.aclose())

    assert [first.last.metrics, second.last.metrics] == [{"score": 1.0}, {"score": 2.0}]


async def test_closing_ends_what_runs(tmp_path: Path) -> None:
    """Closing leaves no worker, whatever it ignores and wherever its children hide."""
    works = [attempt_order(tmp_path, index=index) for index in range(3)]

    async with _executor(_Hangs()) as executor:
        for work in works:
            assert isinstance(await (await executor.launch(work)).receive(), Hello)

    assert await leftovers(*(work.attempt_id for work in works)) == []


async def test_closing_wakes_who_listens(tmp_path: Path) -> None:
    """A task that listens to a worker sees its end when the executor is closed."""
    endings: list[WorkerExit] = []

    async def listen(worker: ProcessWorker) -> None:
        async for _ in worker.messages():
            listening.set()
        endings.append(await worker.wait())

    listening = anyio.Event()
    async with anyio.create_task_group() as group, _executor(_Hangs()) as executor:
        group.start_soon(listen, await executor.launch(attempt_order(tmp_path)))
        await listening.wait()

    assert [(ending.signal, ending.stopped) for ending in endings] == [(signal.SIGKILL, True)]


async def test_closed_executor_starts_nothing(tmp_path: Path) -> None:
    """After closing, a launch is refused."""
    async with _executor(_Succeeds()) as executor:
        pass

    with pytest.raises(SpawnError, match="closed"):
        await executor.launch(attempt_order(tmp_path))


async def test_cancelled_launch_leaves_nothing(tmp_path: Path) -> None:
    """A launch that is cancelled at any moment leaves no process and no descriptor."""
    async with _executor(_Hangs()) as executor:
        await run_order(executor, attempt_order(tmp_path), stop_at="Hello", grace=0.0)
        works = [attempt_order(tmp_path, index=index) for index in range(8)]
        for step, work in enumerate(works):
            with anyio.move_on_after(step * 0.001):
                worker = await executor.launch(work)
                await worker.stop(grace=0.0)
                await worker.wait()

    assert await leftovers(*(work.attempt_id for work in works)) == []


async def test_wait_may_come_first(tmp_path: Path) -> None:
    """What a worker said can still be read after its end, and its end asked for again."""
    async with _executor(_Succeeds()) as executor:
        worker = await executor.launch(attempt_order(tmp_path))
        ending = await worker.wait()
        said = [type(message).__name__ async for message in worker.messages()]
        await worker.stop(grace=0.0)

        assert said == ["Hello", "Done"]
        assert await worker.wait() == ending


async def test_worker_imports_only_what_it_needs(tmp_path: Path) -> None:
    """No event loop, no scheduler, no journal and no back end gets into a worker."""

    class _Lists:
        def run_trial(self, trial: Any) -> float:
            print(*sorted(sys.modules))  # noqa: T201 - what the log is for
            return 0.0

    async with _executor(_Lists()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))
    modules = set(ran.log.split())

    assert "aiotune.worker._session" in modules
    forbidden = {"anyio", "asyncio", "gpu", "keras", "tensorflow", "aiotune.store._journal"}
    forbidden |= {"aiotune.scheduler", "aiotune.oracles", "aiotune.executors"}
    assert modules & forbidden == set()


async def test_large_arrays_are_not_copied(tmp_path: Path) -> None:
    """64 MiB reach a worker without becoming its own memory."""

    class _Sums:
        def run_trial(self, trial: Any, x: Any) -> dict[str, float]:
            total = float(x.sum())
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            own = next(line for line in lines if line.startswith("Anonymous"))
            return {"score": total, "own_mib": int(own.split()[1]) / 1024}

    array = np.ones(8 << 20)

    async with _executor(_Sums(), array) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.last.metrics["score"] == 8 << 20
    assert ran.last.metrics["own_mib"] < 32


async def test_program_keeps_its_surroundings(tmp_path: Path, monkeypatch: Any) -> None:
    """A worker has the program's arguments, directory and module path."""

    class _Looks:
        def run_trial(self, trial: Any) -> float:
            import beside_the_program  # type: ignore[import-not-found] # made by this test

            print(Path.cwd(), *sys.argv)  # noqa: T201 - what the log is for
            return float(beside_the_program.VALUE)

    (tmp_path / "beside_the_program.py").write_text("VALUE = 5")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--fast"])

    async with _executor(_Looks()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.last.metrics == {"score": 5.0}
    assert ran.log == f"{tmp_path} train.py --fast\n"


async def test_worker_is_marked_and_bounded(tmp_path: Path) -> None:
    """A worker has a session of its own, no core files and its attempt's name."""

    class _Looks:
        def run_trial(self, trial: Any) -> dict[str, float]:
            import resource

            print(os.environ["AIOTUNE_ATTEMPT"])  # noqa: T201 - what the log is for
            return {
                "score": 0.0,
                "own_session": float(os.getsid(0) == os.getpid()),
                "core": float(resource.getrlimit(resource.RLIMIT_CORE)[0]),
                "oom": float(Path("/proc/self/oom_score_adj").read_text()),
            }

    async with _executor(_Looks()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    metrics = ran.last.metrics
    assert (metrics["own_session"], metrics["core"]) == (1.0, 0.0)
    assert metrics["oom"] >= 500
    assert ran.log == f"{ran.work.attempt_id}\n"


async def test_stacks_can_be_dumped(tmp_path: Path) -> None:
    """A worker that seems to hang shows where, and goes on."""
    work = attempt_order(tmp_path)

    async with _executor(_Hangs()) as executor:
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
    with pytest.raises(PayloadError, match=r"args\[0\] is a _thread.lock"):
        await LocalExecutor.start(Payload(_Succeeds(), (threading.Lock(),)))


async def test_log_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """An output log in an impossible place is no start of a worker."""
    (tmp_path / "trial_0000").write_text("a file is in the way")

    async with _executor(_Succeeds()) as executor:
        with pytest.raises(SpawnError, match="cannot be opened"):
            await executor.launch(attempt_order(tmp_path))


async def test_garbage_on_the_channel_is_a_failure(tmp_path: Path) -> None:
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

    async with _executor(_Scribbles()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert isinstance(ran.last, Failed)
    assert ran.last.failure.type == "FrameError"
    assert ran.ending.signal == signal.SIGKILL


async def test_channel_held_by_a_child_does_not_delay_the_end(tmp_path: Path) -> None:
    """The worker's death ends the messages, although its child still holds the channel."""

    class _Forks:
        def run_trial(self, trial: Any) -> float:
            if os.fork() == 0:
                signal.pause()
            os._exit(4)

    async with _executor(_Forks()) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello"]
    assert (ran.ending.exit_code, ran.ending.swept) == (4, 1)


# ── deaths in the family ───────────────────────────────────────────────────


async def test_running_attempts_outlive_the_nursery(tmp_path: Path) -> None:
    """The nursery's death ends no attempt, and the next launch starts another nursery."""

    class _WaitsForFile:
        def run_trial(self, trial: Any) -> float:
            with Path(f"{trial.trial_id}.fifo").open() as file:
                return float(file.read())

    os.mkfifo(tmp_path / "0000.fifo")
    os.mkfifo(tmp_path / "0001.fifo")
    log = _Log()
    directory = Path.cwd()
    os.chdir(tmp_path)
    try:
        async with _executor(_WaitsForFile(), log=log) as executor:
            first = await executor.launch(attempt_order(tmp_path))
            await first.receive()
            assert executor.nursery_pid is not None
            os.kill(executor.nursery_pid, signal.SIGKILL)
            await _gone(executor.nursery_pid)
            second = await executor.launch(attempt_order(tmp_path, index=1))
            await to_thread.run_sync((tmp_path / "0000.fifo").write_text, "1")
            await to_thread.run_sync((tmp_path / "0001.fifo").write_text, "2")
            results = [
                [m.metrics async for m in worker.messages() if hasattr(m, "metrics")]
                for worker in (first, second)
            ]
            endings = [(await worker.wait()).exit_code for worker in (first, second)]
    finally:
        os.chdir(directory)

    assert results == [[{"score": 1.0}], [{"score": 2.0}]]
    assert endings == [0, 0]
    assert log.names.count("nursery_ready") == 2
    assert "nursery_lost" in log.names


async def test_nursery_that_cannot_live_is_a_spawn_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that kills whoever imports it is named, with the nursery's last words."""
    (tmp_path / "deadly_import.py").write_text("import os; print('so long'); os.abort()")
    monkeypatch.syspath_prepend(tmp_path)

    async with _executor(_Succeeds(), imports=("deadly_import",)) as executor:
        with pytest.raises(SpawnError, match=r"had to import deadly_import(.|\n)*so long"):
            await executor.launch(attempt_order(tmp_path))


async def test_nurseries_that_die_at_every_fork_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nursery that dies of each request is replaced a few times, then it is an error."""
    (tmp_path / "deadly_fork.py").write_text(
        "import os\nos.register_at_fork(before=lambda: os._exit(1))"
    )
    monkeypatch.syspath_prepend(tmp_path)

    async with _executor(_Succeeds(), imports=("deadly_fork",)) as executor:
        with pytest.raises(SpawnError, match="3 processes that fork workers ended"):
            await executor.launch(attempt_order(tmp_path))


async def test_failed_import_is_left_to_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that cannot be imported ahead of need stops no worker."""
    (tmp_path / "broken_import.py").write_text("raise ValueError('broken')")
    monkeypatch.syspath_prepend(tmp_path)

    async with _executor(_Succeeds(), imports=("broken_import",)) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello", "Done"]


async def test_death_of_a_keeper_ends_its_tree(tmp_path: Path) -> None:
    """If a keeper is killed the kernel ends the worker, and the tuner what the worker left."""
    work = attempt_order(tmp_path)

    async with _executor(_Hangs()) as executor:
        worker = await executor.launch(work)
        assert isinstance(await worker.receive(), Hello)
        assert isinstance(await worker.receive(), Report)
        os.kill(worker.keeper_pid, signal.SIGKILL)
        said = [message async for message in worker.messages()]
        ending = await worker.wait()

        assert said == []
        assert (ending.signal, ending.swept) == (signal.SIGKILL, 1)
        assert await leftovers(work.attempt_id) == []


def test_death_of_the_tuner_ends_everything(tmp_path: Path) -> None:
    """Two seconds after the tuner was killed nothing of it is left."""
    tuner = subprocess.Popen(
        [sys.executable, str(_HERE / "tuner_to_kill.py"), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert tuner.stdout is not None
    words = tuner.stdout.readline().split()
    pidfds = [os.pidfd_open(int(pid)) for pid in words]

    tuner.kill()
    left = _wait_for_ends(pidfds, seconds=2.0)
    tuner.wait()
    tuner.stdout.close()

    assert len(words) == 1 + 2 * 3  # a nursery; per attempt a keeper, a worker and its child
    assert left == 0


def _wait_for_ends(pidfds: list[int], seconds: float) -> int:
    """Wait for processes to end; return how many had not when the time was over."""
    import select
    import time

    over = time.monotonic() + seconds
    poll = select.poll()
    for fd in pidfds:
        poll.register(fd, select.POLLIN)
    while pidfds and time.monotonic() < over:
        for fd, _ in poll.poll(max(0.0, over - time.monotonic()) * 1000):
            poll.unregister(fd)
            pidfds.remove(fd)
            os.close(fd)
    return len(pidfds)


# ── where a fork cannot be trusted ─────────────────────────────────────────

_FAKE_KERAS = """
import os, threading
__version__ = "0"
class device:
    def __init__(self, name):
        {act}
    def __enter__(self): return self
    def __exit__(self, *args): pass
class Sequential:
    def __init__(self, parts): pass
    def compile(self, **kw): pass
    def fit(self, *a, **kw): return self
    history = {{"loss": [1.0, 1.0]}}
    def count_params(self): return 3
def Input(shape): pass
class layers:
    @staticmethod
    def Dense(units): pass
"""


def _fake_keras(directory: Path, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "keras.py").write_text(_FAKE_KERAS.format(act=act))
    monkeypatch.syspath_prepend(directory)


async def test_passed_self_test_means_forks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a fork trains a model, workers are forked."""
    _fake_keras(tmp_path, "pass", monkeypatch)
    log = _Log()

    async with _executor(_Succeeds(), imports=("keras",), log=log) as executor:
        ran = await run_order(executor, attempt_order(tmp_path))

    assert ran.said == ["Hello", "Done"]
    assert log.names == ["nursery_ready"]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("os._exit(9)", "code 9"),
        ("threading.Event().wait()", "did not end within"),
    ],
)
@pytest.mark.parametrize("kind", ["attempt", "probe"])
async def test_failed_self_test_means_fresh_interpreters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, reason: str, kind: str
) -> None:
    """Where a fork fails, dies or hangs, workers come from interpreters of their own."""
    _fake_keras(tmp_path, act, monkeypatch)
    monkeypatch.setattr("aiotune.executors._trust._DEADLINE", 0.3)
    log = _Log()
    work = attempt_order(tmp_path) if kind == "attempt" else probe_order(tmp_path)

    async with _executor(_Succeeds(), imports=("keras",), log=log) as executor:
        ran = await run_order(executor, work)

    assert ran.said == ["Hello", "Done" if kind == "attempt" else "Probed"]
    failed = [fields for name, fields in log.events if name == "nursery_failed"]
    assert len(failed) == 1
    assert reason in failed[0]["reason"]


async def test_fresh_interpreters_behave_like_forks(tmp_path: Path) -> None:
    """A worker of its own interpreter has its log, its marker, its stop and its sweep."""

    class _Leaves:
        def run_trial(self, trial: Any) -> float:
            print(os.environ["AIOTUNE_ATTEMPT"], flush=True)  # noqa: T201 - what the log is for
            subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
            if trial.index:
                threading.Event().wait()
            return 1.0

    async with _executor(_Leaves(), start="spawn") as executor:
        done = await run_order(executor, attempt_order(tmp_path))
        stopped = await run_order(executor, attempt_order(tmp_path, index=1), stop_at="Hello")

    assert (done.said, done.ending.exit_code, done.ending.swept) == (["Hello", "Done"], 0, 1)
    assert done.log == f"{done.work.attempt_id}\n"
    assert (stopped.said, stopped.ending.signal) == (["Hello"], signal.SIGTERM)


async def test_standby_that_dies_is_replaced(tmp_path: Path) -> None:
    """A waiting interpreter that was killed is not given an attempt."""
    async with _executor(_Succeeds(), start="spawn") as executor:
        await run_order(executor, attempt_order(tmp_path))
        (waiting,) = executor.workers
        os.kill(waiting.pid, signal.SIGKILL)
        await _gone(waiting.pid)
        ran = await run_order(executor, attempt_order(tmp_path, index=1))

    assert ran.last.metrics == {"score": 1.0}


async def test_probe_of_a_target_without_a_model(tmp_path: Path) -> None:
    """A probe is an order like any other."""
    async with _executor(_Succeeds()) as executor:
        ran = await run_order(executor, probe_order(tmp_path))

    assert ran.said == ["Hello", "Probed"]
    assert isinstance(ran.last, Probed)
