"""Hooks that block, raise, refuse to end, or end the program."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import aiotune._callbacks as module
from aiotune import logs
from aiotune._callbacks import Callbacks
from aiotune.hyperparameters import HyperParameters
from aiotune.testing import RecordingLog
from aiotune.trial import Trial
from aiotune.tuners import RandomSearch


class TellingLog(RecordingLog):
    """Can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    def warning(self, event: str, **fields: Any) -> None:
        super().warning(event, **fields)
        self.came.set()


@pytest.fixture
def log() -> TellingLog:
    """Give a log that can be looked at."""
    return TellingLog()


@pytest.fixture
def callbacks(log: TellingLog) -> Iterator[Callbacks]:
    """Give what calls hooks."""
    made = Callbacks(log)
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a twentieth of a second for long."""
    monkeypatch.setattr(module, "_SLOW", 0.05)
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    monkeypatch.setattr(module, "_PAUSE", 0.01)


class Blocks:
    """A hook that waits in its thread until it is let go."""

    def __init__(self) -> None:
        self.began, self.gate = threading.Event(), threading.Event()
        self.ended = 0

    def __call__(self) -> None:
        self.began.set()
        assert self.gate.wait(30)
        self.ended += 1


async def refuses() -> None:
    """Catch every cancellation."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()


# ── where hooks run ────────────────────────────────────────────────────────


async def test_functions_run_in_one_thread_and_coroutines_on_the_loop(callbacks: Callbacks) -> None:
    """What one hook opened in its thread another can use; a coroutine sees the main thread."""
    seen: list[threading.Thread] = []

    def function() -> None:
        seen.append(threading.current_thread())

    async def coroutine() -> None:
        function()

    for hook in (function, function, coroutine, partial(coroutine)):
        await callbacks.call(hook)

    assert seen[0] is seen[1] is not threading.main_thread()
    assert seen[2:] == [threading.main_thread()] * 2


async def test_functions_run_one_at_a_time_while_the_loop_goes_on(callbacks: Callbacks) -> None:
    """A hook that blocks holds up other hooks and nothing else."""
    first, second = Blocks(), Blocks()
    second.gate.set()

    async with anyio.create_task_group() as group:
        group.start_soon(callbacks.call, first)
        group.start_soon(callbacks.call, second)
        await anyio.to_thread.run_sync(first.began.wait)
        before = second.began.is_set()
        first.gate.set()

    assert (before, first.ended, second.ended) == (False, 1, 1)


@pytest.mark.parametrize("error", [LookupError("x"), StopIteration("x")], ids=repr)
async def test_the_error_of_a_function_is_raised(callbacks: Callbacks, error: Exception) -> None:
    """With the frames of the hook; StopIteration, which no coroutine may raise, as RuntimeError."""

    def hook() -> None:
        raise error

    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    with pytest.raises(expected, match="x"):
        await callbacks.call(hook)


async def test_the_error_of_a_coroutine_is_raised(callbacks: Callbacks) -> None:
    """As if it had been awaited by whoever waits for the hook."""

    async def hook() -> None:
        await asyncio.sleep(0)
        raise LookupError("x")

    with pytest.raises(LookupError, match="x"):
        await callbacks.call(hook)


async def test_a_hook_that_is_cancelled_by_somebody_else_is_an_error(callbacks: Callbacks) -> None:
    """CancelledError must not look as if the search had been cancelled."""

    async def hook() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match=r"hook\(\) was cancelled, and not by the search"):
        await callbacks.call(hook)


# ── hooks that hold others up ──────────────────────────────────────────────


@pytest.mark.usefixtures("quick")
async def test_a_function_that_takes_long_is_named_once(
    callbacks: Callbacks, log: TellingLog
) -> None:
    """And those that wait for their turn behind it are not."""
    slow, waiting = Blocks(), Blocks()
    waiting.gate.set()

    def on_trial_end() -> None:
        slow()

    async with anyio.create_task_group() as group:
        group.start_soon(callbacks.call, on_trial_end)
        group.start_soon(callbacks.call, waiting)
        with anyio.fail_after(10):
            await log.came.wait()
        slow.gate.set()

    ((event, fields),) = log.events
    assert (event, fields["callback"]) == (logs.CALLBACK_SLOW, "on_trial_end")
    assert fields["seconds"] >= 0.1


@pytest.mark.usefixtures("quick")
async def test_a_coroutine_that_blocks_the_loop_is_named(
    callbacks: Callbacks, log: TellingLog
) -> None:
    """With the time of the step that blocked; one that awaits as long is not named."""

    async def on_trial_begin() -> None:
        await asyncio.sleep(0.2)
        threading.Event().wait(0.2)
        await asyncio.sleep(0)

    await callbacks.call(on_trial_begin)

    assert log.events == [(logs.CALLBACK_BLOCKS, {"callback": "on_trial_begin", "seconds": 0.2})]


# ── the end of the search ──────────────────────────────────────────────────


@pytest.mark.usefixtures("quick")
async def test_a_hook_may_end_in_the_time_that_workers_have(callbacks: Callbacks) -> None:
    """An upload that is nearly over is not thrown away."""
    ended = []

    async def hook() -> None:
        await asyncio.sleep(0.1)
        ended.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(callbacks.call, hook)
        await checkpoint()
        callbacks.end_within(30)

    assert ended == [True]


@pytest.mark.usefixtures("quick")
async def test_a_hook_that_waits_for_ever_is_cancelled(
    callbacks: Callbacks, log: TellingLog
) -> None:
    """And its ``finally`` runs; nobody is told, since that is what cancellation is for."""
    cleaned = []

    async def hook() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(callbacks.call, hook)
        await checkpoint()
        callbacks.end_within(0)

    assert (cleaned, log.events) == ([True], [])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("how", ["deadline", "scope", "task"])
async def test_a_coroutine_that_refuses_to_end_is_left_behind(
    callbacks: Callbacks, log: TellingLog, how: str
) -> None:
    """Whoever ends the wait, and without a busy loop: the log says where it is."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    waiter = loop.create_task(callbacks.call(refuses))
    with contextlib.suppress(asyncio.CancelledError):
        if how == "scope":
            with anyio.move_on_after(0.1):
                await callbacks.call(refuses)
            waiter.cancel()
        elif how == "task":
            loop.call_later(0.05, waiter.cancel)
        else:
            loop.call_later(0.05, callbacks.end_within, 0)
        began = time.process_time()
        await waiter
    spent = time.process_time() - began

    left = asyncio.all_tasks() - before - {waiter}
    for task in left:  # for the test's own loop, which would wait for them
        task.get_loop().call_soon(_give_in, task)
    fields = log.named(logs.CALLBACK_REFUSES_CANCELLATION)
    assert [f["callback"] for f in fields] == ["refuses"] * (2 if how == "scope" else 1)
    assert "test_callbacks.py" in fields[0]["stack"]
    assert "in refuses" in fields[0]["stack"]
    assert spent < 0.5


def _give_in(task: asyncio.Task[Any]) -> None:
    coroutine: Any = task.get_coro()
    coroutine.close()


@pytest.mark.usefixtures("quick")
async def test_a_function_that_does_not_end_is_left_behind_with_those_that_wait_for_it(
    callbacks: Callbacks, log: TellingLog
) -> None:
    """Those are never begun, and what is called later has another thread."""
    stuck, never, later = Blocks(), Blocks(), Blocks()
    later.gate.set()

    async with anyio.create_task_group() as group:
        group.start_soon(callbacks.call, stuck)
        group.start_soon(callbacks.call, never)
        await anyio.to_thread.run_sync(stuck.began.wait)
        callbacks.end_within(0)
    await callbacks.call(later)
    stuck.gate.set()

    assert [name for name, _ in log.events if name != logs.CALLBACK_SLOW] == [
        logs.CALLBACK_REFUSES_CANCELLATION
    ]
    assert (never.began.is_set(), later.ended) == (False, 1)


# ── in a search ────────────────────────────────────────────────────────────


def tuner(path: Path, **hooks: Callable[..., Any]) -> RandomSearch:
    """Return a tuner with some hooks, of trials that do nothing."""
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    body = {"run_trial": lambda self, trial, *_, **__: 0.0, **hooks}
    made: RandomSearch = type("Tuner", (RandomSearch,), body)(
        max_trials=4,
        hyperparameters=hp,
        directory=path,
        executor="inline",
        max_parallel_trials=2,
        stop_grace=0.1,
    )
    return made


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "name", ["on_search_begin", "pre_create_trial", "on_trial_begin", "on_trial_end"]
)
@pytest.mark.parametrize("kind", ["function", "coroutine"])
async def test_a_cancelled_search_ends_whatever_its_hooks_do(
    tmp_path: Path, name: str, kind: str
) -> None:
    """A hook that blocks its thread, or swallows its cancellation, costs the patience and no more."""
    stuck, entered = Blocks(), asyncio.Event()
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()

    def blocking(self: Any, *_: Any) -> None:
        loop.call_soon_threadsafe(entered.set)
        stuck()

    async def swallowing(self: Any, *_: Any) -> None:
        entered.set()
        await refuses()

    made = tuner(tmp_path, **{name: blocking if kind == "function" else swallowing})
    search = loop.create_task(made.search(verbose=0))
    await entered.wait()
    search.cancel()
    with pytest.raises(asyncio.CancelledError), anyio.fail_after(10):
        await search
    stuck.gate.set()
    for task in asyncio.all_tasks() - before:
        loop.call_soon(_give_in, task)

    assert '"callback_refuses_cancellation"' in (made.project_dir / "events.log").read_text()


async def test_hooks_in_a_thread_can_read_the_trials(tmp_path: Path) -> None:
    """The event loop adds trials meanwhile; a look at them is a look at one moment."""
    looks = []

    def on_trial_end(self: Any, trial: Trial) -> None:
        for _ in range(200):
            looks.append(len([t.status for t in self.oracle.trials.values()]))
            self.oracle.get_best_trials(1)

    made = tuner(tmp_path, on_trial_end=on_trial_end)
    made.oracle.max_trials = 30
    await made.search(verbose=0)

    assert max(looks) == 30
