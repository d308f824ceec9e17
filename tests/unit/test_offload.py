"""Blocking work runs beside the loop, one call at a time in each lane."""

from __future__ import annotations

import threading

import anyio
import pytest

from aiotune._offload import InlineOffloader, Offloader, ThreadOffloader

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
