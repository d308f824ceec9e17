"""Threads for blocking calls: kept, given up, and no program's concern at its end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading

import pytest

from aiotune._threads import end_idle_threads, run_on_another_loop, start_in_thread


async def test_an_idle_thread_has_the_next_call() -> None:
    """One after the other they need a single thread, which is not the loop's."""
    used = {await start_in_thread(threading.get_ident) for _ in range(5)}

    assert len(used) == 1
    assert used != {threading.get_ident()}


async def test_calls_at_once_have_a_thread_each() -> None:
    """However many wait for each other."""
    meeting = threading.Barrier(50, timeout=5)

    met = await asyncio.gather(*(start_in_thread(meeting.wait) for _ in range(50)))

    assert sorted(met) == list(range(50))


async def test_threads_end_when_they_are_not_wanted_any_more() -> None:
    """At once when they have nothing to do, the others after their work."""
    idle = await start_in_thread(threading.current_thread)
    go_on = threading.Event()
    busy: list[threading.Thread] = []

    def wait() -> None:
        busy.append(threading.current_thread())
        go_on.wait()

    first, second = start_in_thread(wait), start_in_thread(wait)
    end_idle_threads()
    go_on.set()
    await asyncio.gather(first, second)
    for thread in (idle, *busy):
        await asyncio.to_thread(thread.join, 5)

    assert [thread.is_alive() for thread in (idle, *busy)] == [False] * 3
    assert idle in busy


async def test_what_a_call_raises_is_raised() -> None:
    """StopIteration as well, which no future takes: its waiter would wait for ever."""
    with pytest.raises(KeyError, match="mine"):
        await start_in_thread({}.__getitem__, "mine")
    with pytest.raises(RuntimeError, match=r"StopIteration\(\) was raised in a thread"):
        await start_in_thread(next, iter(()))


async def test_a_call_has_the_context_of_its_caller() -> None:
    """As asyncio.to_thread does it."""
    variable = contextvars.ContextVar("variable", default="not set")
    variable.set("set")

    assert await start_in_thread(variable.get) == "set"


async def test_a_call_that_is_cancelled_goes_on_and_harms_nobody() -> None:
    """Its thread has the next call when it is done."""
    go_on = threading.Event()
    left = start_in_thread(go_on.wait)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    go_on.set()

    assert await start_in_thread(int, "3") == 3


def test_a_loop_that_was_broken_off_holds_no_program_up() -> None:
    """Neither an idle thread nor one that is stuck."""
    program = (
        "import asyncio, sys, threading\n"
        "from aiotune._threads import start_in_thread\n"
        "async def leave():\n"
        "    await start_in_thread(int)\n"
        "    start_in_thread(threading.Event().wait)\n"
        "    sys.exit(3)\n"
        "asyncio.new_event_loop().run_until_complete(leave())\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)

    assert ended.returncode == 3


def test_ctrl_c_cancels_what_runs_on_another_loop() -> None:
    """It has ended when KeyboardInterrupt is raised, so no thread keeps the program from ending."""
    ended: list[bool] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_on_another_loop(work)
    finally:
        signal.signal(signal.SIGINT, before)

    assert ended == [True]


def test_an_error_on_another_loop_is_raised_where_it_was_asked_for() -> None:
    """As that of a call would be."""

    async def work() -> None:
        await asyncio.sleep(0)
        raise LookupError("over there")

    with pytest.raises(LookupError, match="over there"):
        run_on_another_loop(work)
