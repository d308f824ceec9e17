"""A project that is opened or closed by a cancelled task is let go all the same."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from aiotune.errors import ProjectLocked, StorageError
from aiotune.events import Event, ProjectClosed, ProjectCreated, ProjectOpened, TrialRequeued
from aiotune.store import FileStore, Layout, open_project, read_events
from aiotune.store import _file as file_module

_FACT = TrialRequeued(trial_id="0000", reason="lost")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, "project")


class _Held:
    """A function that a thread stays in until it is let go."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self.entered, self._go = threading.Event(), threading.Event()

    def __call__(self, *args: object) -> object:
        self.entered.set()
        self._go.wait(5)
        return self._function(*args)

    def let_go(self) -> None:
        self._go.set()


async def _cancel_while_held(held: _Held, task: asyncio.Task[object], times: int) -> None:
    """Cancel a task several times while its thread is held, and see that it is still there."""
    assert await asyncio.to_thread(held.entered.wait, 5)
    for _ in range(times):
        task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
    assert not task.done()
    held.let_go()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _recorded(layout: Layout) -> list[type[Event]]:
    return [type(event) for event in await asyncio.to_thread(read_events, layout)]


@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_opening_lets_the_project_go(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Cancelled while its thread takes the lock, an opening ends only when the lock is free again."""
    held = _Held(file_module._open)
    monkeypatch.setattr(file_module, "_open", held)
    async with asyncio.TaskGroup() as group:
        task: asyncio.Task[object] = group.create_task(open_project(layout))
        await _cancel_while_held(held, task, times)
    monkeypatch.undo()

    assert await _recorded(layout) == [ProjectCreated, ProjectOpened, ProjectClosed]
    await (await open_project(layout)).aclose()


@pytest.mark.parametrize("times", [1, 3])
async def test_opening_cancelled_at_its_first_record_lets_the_project_go(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Cancelled while its first record is synced, an opening closes what it had opened."""
    held = _Held(os.fdatasync)
    monkeypatch.setattr(os, "fdatasync", held)
    async with asyncio.TaskGroup() as group:
        task: asyncio.Task[object] = group.create_task(open_project(layout))
        await _cancel_while_held(held, task, times)
    monkeypatch.undo()

    assert await _recorded(layout) == [ProjectCreated, ProjectOpened, ProjectClosed]
    await (await open_project(layout)).aclose()


async def test_refused_opening_says_why_although_it_was_cancelled(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went wrong in the thread is not hidden by a cancellation."""
    holder = await open_project(layout)
    held = _Held(file_module._open)
    monkeypatch.setattr(file_module, "_open", held)
    task = asyncio.ensure_future(open_project(layout))
    assert await asyncio.to_thread(held.entered.wait, 5)
    task.cancel()
    held.let_go()

    with pytest.raises(ProjectLocked):
        await task
    await holder.aclose()


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_cancelled_close_is_a_close(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """However often it is cancelled, a close records all, closes the project and frees the lock."""
    store = await open_project(layout)
    held = _Held(os.fdatasync)
    monkeypatch.setattr(os, "fdatasync", held)
    store.append(_FACT)
    async with asyncio.TaskGroup() as group:
        task: asyncio.Task[object] = group.create_task(store.aclose())
        await _cancel_while_held(held, task, times)
    monkeypatch.undo()

    assert (await _recorded(layout))[-2:] == [TrialRequeued, ProjectClosed]
    await (await open_project(layout)).aclose()


@pytest.mark.parametrize("times", [1, 3])
async def test_close_that_was_cancelled_before_it_began_is_a_close(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A task cancelled before its first step records all, closes the project and frees the lock."""
    store = await open_project(layout)
    held = _Held(os.fdatasync)
    monkeypatch.setattr(os, "fdatasync", held)
    store.append(_FACT)
    task = asyncio.ensure_future(store.aclose())
    for _ in range(times):
        task.cancel()
    await _cancel_while_held(held, task, 1)
    monkeypatch.undo()

    assert (await _recorded(layout))[-2:] == [TrialRequeued, ProjectClosed]
    await (await open_project(layout)).aclose()


async def test_second_close_that_was_cancelled_before_it_began_ends_cancelled(
    layout: Layout,
) -> None:
    """Cancelled before its first step, a close of a closed project hides no cancellation."""
    store = await open_project(layout)
    await store.aclose()
    task = asyncio.ensure_future(store.aclose())
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_close_can_be_started_in_a_task_group_of_anyio(layout: Layout) -> None:
    """A close is a coroutine as any other to those who run it."""
    store = await open_project(layout)
    async with anyio.create_task_group() as group:
        group.start_soon(store.aclose)

    assert (await _recorded(layout))[-1] is ProjectClosed


async def test_close_in_a_cancelled_scope_is_a_close(layout: Layout) -> None:
    """A scope of anyio's that was cancelled before does not keep a project from being closed."""
    store = await open_project(layout)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()

    assert (await _recorded(layout))[-1] is ProjectClosed
    await (await open_project(layout)).aclose()


async def _fail_to_sync(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    store = await open_project(layout)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    return store


async def test_close_tells_of_a_loss_that_nobody_was_told_of(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that nobody waited for is not lost in silence, and the lock is free."""
    store = await _fail_to_sync(layout, monkeypatch)
    store.append(_FACT)
    with pytest.raises(StorageError, match="Input/output error"):
        await store.aclose()
    monkeypatch.undo()

    await (await open_project(layout)).aclose()


async def test_close_tells_no_loss_twice(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a commit has raised, the close has nothing to add."""
    store = await _fail_to_sync(layout, monkeypatch)
    with pytest.raises(StorageError):
        await store.append(_FACT)

    await store.aclose()


async def test_close_that_cannot_be_recorded_loses_nothing(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only the record of the close itself fails, all else is there, and nobody needs to know."""
    store = await _fail_to_sync(layout, monkeypatch)

    await store.aclose()
    monkeypatch.undo()

    expected: list[type[Event]] = [ProjectCreated, ProjectOpened]
    assert expected == (await _recorded(layout))[:2]
    await (await open_project(layout)).aclose()
