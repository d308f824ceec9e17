"""Threads with a baton on virtual time: the product's own thread code, one step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aiotune.testing._loop import Deadlock
from aiotune.testing.simulator._plan import Plan, Setup
from aiotune.testing.simulator._threads import SimLoop, Threads
from aiotune.testing.simulator._world import World


class Stage:
    """A loop, its threads, and what they say, with the seconds."""

    def __init__(self) -> None:
        self.world = World(Plan(seed=0, setup=Setup(), faults=frozenset(), rate=0.0))
        self.loop = self.world.loop = SimLoop(10_000)
        self.threads = self.loop.threads = Threads(self.world)
        self.said: list[tuple[float, str]] = []

    def say(self, what: str) -> None:
        self.said.append((self.loop.time(), what))

    def run(self, work: Callable[[], object]) -> None:
        """Run a function in a thread, as an executor's, to its end."""

        async def main() -> None:
            await self.loop.run_in_executor(None, work)

        try:
            self.loop.run_until_complete(main())
        finally:
            self.threads.kill_all()
            self.loop.bury()
            self.loop.close()


def test_a_thread_sleeps_while_the_loop_goes_on() -> None:
    """An hour in a thread is an hour on the loop, and no time at all outside."""
    stage = Stage()
    stage.loop.call_later(1800.0, stage.say, "the loop")

    def work() -> None:
        stage.threads.sleep(3600.0)
        stage.say("the thread")

    stage.run(work)

    assert stage.said == [(1800.0, "the loop"), (3600.0, "the thread")]


def test_items_of_a_queue_arrive_in_order_and_are_waited_for() -> None:
    """What gathers while the thread is busy is there when it comes back; then it waits again."""
    stage = Stage()
    items = stage.threads.queue_module().SimpleQueue()
    for second in (1.0, 2.0, 7.0):
        stage.loop.call_later(second, items.put, second)

    def work() -> None:
        for _ in range(3):
            stage.say(f"got {items.get()}")
            stage.threads.sleep(3.0)

    stage.run(work)

    assert stage.said == [(1.0, "got 1.0"), (4.0, "got 2.0"), (7.0, "got 7.0")]


def test_an_event_ends_a_wait_or_its_time_does() -> None:
    """A wait with a limit is over after it; one whose event happens is over then, and once."""
    stage = Stage()
    event = stage.threads.module().Event()
    stage.loop.call_later(5.0, event.set)

    def work() -> None:
        for limit in (2.0, 60.0, 60.0):
            stage.say(str(event.wait(limit)))

    stage.run(work)

    assert stage.said == [(2.0, "False"), (5.0, "True"), (5.0, "True")]


def test_a_thread_joins_another_one() -> None:
    """The writer's thread is waited for as a real one is."""
    stage = Stage()

    def other() -> None:
        stage.threads.sleep(4.0)
        stage.say("the other ends")

    def work() -> None:
        thread = stage.threads.module().Thread(target=other, name="other", daemon=True)
        thread.start()
        thread.join()
        stage.say("joined")

    stage.run(work)

    assert stage.said == [(4.0, "the other ends"), (4.0, "joined")]


def test_a_process_that_is_gone_unwinds_its_threads() -> None:
    """Nothing but ``finally`` runs behind the wait in which a thread was killed, and none is left."""
    stage = Stage()

    def work() -> None:
        try:
            stage.threads.sleep(100.0)
            stage.say("never")
        except Exception:  # noqa: BLE001 - as the product's writer catches what it does not know
            stage.say("caught")
        finally:
            stage.say("unwound")

    stage.loop.call_later(1.0, stage.threads.kill_all)
    with pytest.raises(asyncio.CancelledError):  # who waited for its result
        stage.run(work)

    assert stage.said == [(1.0, "unwound")]
    assert list(stage.threads.alive) == []


def test_a_thread_that_nobody_will_wake_is_a_deadlock() -> None:
    """A queue into which nobody will put anything ends the simulation with a sentence."""
    stage = Stage()

    with pytest.raises(Deadlock):
        stage.run(stage.threads.queue_module().SimpleQueue().get)
