"""Blocking work runs beside the loop, one call at a time in each lane."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import anyio
import pytest

from aiotune._offload import InlineOffloader, Offloader, Overdue, ThreadOffloader
from aiotune._threads import start_in_thread

_PATIENCE = 5.0  # seconds until a test that hangs fails


def _add(a: int, b: int) -> int:
    return a + b


def _fail() -> None:
    raise KeyError("on purpose")


@pytest.mark.parametrize("make", [ThreadOffloader, InlineOffloader])
async def test_result_comes_back(make: type[ThreadOffloader | InlineOffloader]) -> None:
    """The arguments go in and the result comes out."""
    offloader: Offloader = make()

    assert await offloader.run("lane", _add, 2, 3) == 5


@pytest.mark.parametrize("make", [ThreadOffloader, InlineOffloader])
async def test_exception_comes_back_and_frees_the_lane(
    make: type[ThreadOffloader | InlineOffloader],
) -> None:
    """What the function raises is raised, and the lane goes on."""
    offloader: Offloader = make()

    with pytest.raises(KeyError, match="on purpose"):
        await offloader.run("lane", _fail)

    assert await offloader.run("lane", _add, 1, 1) == 2


async def test_thread_is_not_the_loops() -> None:
    """The function runs in another thread, so that it may block."""
    assert await ThreadOffloader().run("lane", threading.get_ident) != threading.get_ident()


async def test_inline_runs_on_the_loop() -> None:
    """The function runs at once, in the loop's thread, whatever the lane is doing."""
    assert await InlineOffloader().run("lane", threading.get_ident) == threading.get_ident()


async def test_lane_admits_one_at_a_time() -> None:
    """Sixteen calls of one lane never overlap, and run in the order they came."""
    offloader = ThreadOffloader()
    inside = threading.Lock()
    order: list[int] = []

    def alone(number: int) -> None:
        assert inside.acquire(blocking=False), "two calls of one lane overlap"
        order.append(number)
        inside.release()

    async with anyio.create_task_group() as group:
        for number in range(16):
            group.start_soon(offloader.run, "lane", alone, number)

    assert order == list(range(16))


async def test_lanes_are_independent() -> None:
    """Two calls that wait for each other both end, because their lanes differ."""
    offloader = ThreadOffloader()
    meeting = threading.Barrier(2, timeout=_PATIENCE)
    met: list[int] = []

    async def meet(lane: str) -> None:
        met.append(await offloader.run(lane, meeting.wait))

    async with anyio.create_task_group() as group:
        group.start_soon(meet, "journal")
        group.start_soon(meet, "searcher")

    assert sorted(met) == [0, 1]


async def test_loop_goes_on_while_a_lane_is_blocked() -> None:
    """A blocked function holds up neither the loop nor, once it ends, its lane."""
    offloader = ThreadOffloader()
    release = threading.Event()
    done: list[bool] = []

    async def blocked() -> None:
        done.append(await offloader.run("lane", release.wait, _PATIENCE))

    async with anyio.create_task_group() as group:
        group.start_soon(blocked)
        group.start_soon(blocked)
        await anyio.wait_all_tasks_blocked()
        assert done == []
        release.set()

    assert done == [True, True]


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Return what a call hangs on until the test is over."""
    release = threading.Event()
    yield release
    release.set()


async def test_a_call_that_hangs_is_given_up_and_its_lane_with_it(stuck: threading.Event) -> None:
    """Who waits is told what took too long; the next call of the lane has another thread."""
    offloader = ThreadOffloader()

    with pytest.raises(Overdue, match=r"^Reading the result has taken longer than 0\.05 s"):
        await offloader.run("disk", stuck.wait, deadline=0.05, what="Reading the result")

    assert await offloader.run("disk", _add, 1, 2, deadline=_PATIENCE) == 3


async def test_waiting_for_a_lane_counts(stuck: threading.Event) -> None:
    """Behind a call without a deadline one that has one gives up, not having begun."""
    offloader = ThreadOffloader()
    begun: list[int] = []

    async with anyio.create_task_group() as group:
        group.start_soon(offloader.run, "disk", stuck.wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Overdue, match=r"append\(\) has taken longer"):
            await offloader.run("disk", begun.append, 1, deadline=0.05)
        stuck.set()

    assert begun == []


async def test_a_cancelled_caller_leaves_what_hangs_behind(stuck: threading.Event) -> None:
    """After a second more, also where it would wait for ever."""
    with anyio.move_on_after(0.01) as scope:
        await ThreadOffloader().run("nvml", stuck.wait)

    assert scope.cancelled_caught
    assert anyio.current_time() - scope.deadline < 3.0


async def test_a_cancelled_caller_waits_for_what_is_nearly_done(stuck: threading.Event) -> None:
    """It is better done than left half done."""
    ended: list[bool] = []

    async with anyio.create_task_group() as group:
        group.start_soon(ThreadOffloader().run, "disk", lambda: ended.append(stuck.wait(_PATIENCE)))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        threading.Timer(0.05, stuck.set).start()

    assert ended == [True]


async def test_what_fails_too_late_is_nobodys_business(stuck: threading.Event) -> None:
    """An exception that comes after the deadline is not reported as one that nobody took."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    over = threading.Event()

    def fail() -> None:
        stuck.wait()
        over.set()
        raise KeyError("on purpose")

    with pytest.raises(Overdue):
        await ThreadOffloader().run("disk", fail, deadline=0.01)
    stuck.set()
    await start_in_thread(over.wait, _PATIENCE)
    await asyncio.sleep(0.02)
    gc.collect()

    assert told == []
