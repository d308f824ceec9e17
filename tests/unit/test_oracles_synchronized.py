"""A lock for the methods of an oracle of one's own."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import Oracle, RandomSearchOracle, synchronized
from aiotune.searchers import Exhausted, Proposal, SearcherDecision, Wait
from aiotune.trial import Trial


def space() -> HyperParameters:
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    return hp


class Busy(RandomSearchOracle):
    """Notes who is inside, coroutine or plain."""

    def __init__(self) -> None:
        super().__init__("loss", hyperparameters=space())
        self.inside = self.most = 0
        self.seen: list[str] = []

    @synchronized
    async def long(self, name: str) -> str:
        """Stay inside for a while."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        for _ in range(3):
            await checkpoint()
        self.inside -= 1
        self.seen.append(name)
        return name

    @synchronized
    def short(self, name: str) -> str:
        """Look whether somebody is inside."""
        self.seen.append(f"{name} with {self.inside}")
        return name

    @synchronized
    async def nested(self) -> list[str]:
        """Call others of its own."""
        return [await self.long("long"), await self.short("short")]

    @synchronized
    async def broken(self) -> None:
        """Fail inside."""
        raise ValueError("no")


async def test_one_task_at_a_time_is_inside() -> None:
    """Whether methods are coroutines or plain functions; each returns its result."""
    oracle = Busy()

    results = await asyncio.gather(oracle.long("1"), oracle.short("2"), oracle.long("3"))

    assert list(results) == ["1", "2", "3"]
    assert (oracle.most, oracle.seen) == (1, ["1", "2 with 0", "3"])


async def test_a_method_may_call_another() -> None:
    """The task that has the lock does not wait for itself; others come after all of it."""
    oracle = Busy()

    nested, _ = await asyncio.gather(oracle.nested(), oracle.long("other"))

    assert nested == ["long", "short"]
    assert oracle.seen == ["long", "short with 0", "other"]


async def test_an_exception_gives_the_lock_back() -> None:
    """The next one gets in."""
    oracle = Busy()

    with pytest.raises(ValueError, match="no"):
        await oracle.broken()

    assert await oracle.long("after") == "after"


async def test_who_is_cancelled_gives_the_lock_back() -> None:
    """Inside as well as while waiting for it."""
    oracle = Busy()
    first, second = (asyncio.ensure_future(oracle.long(name)) for name in "12")
    await checkpoint()
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    oracle.inside = 0

    assert await oracle.long("after") == "after"


async def test_oracles_do_not_wait_for_each_other() -> None:
    """Each has a lock of its own."""
    one, other = Busy(), Busy()
    held = asyncio.ensure_future(one.long("1"))
    await checkpoint()

    await other.short("2")

    assert one.seen == []
    await held


def test_an_oracle_may_see_several_loops() -> None:
    """One ``asyncio.run`` after the other, also after one was cut off inside."""
    oracle = Busy()

    async def cut_off() -> None:
        inside = asyncio.ensure_future(oracle.long("1"))
        await checkpoint()
        inside.cancel()

    asyncio.run(cut_off())

    assert asyncio.run(oracle.long("2")) == "2"


async def test_a_lock_dies_with_its_oracle() -> None:
    """No table of locks keeps it alive."""
    oracle = Busy()
    await oracle.long("1")
    gone = weakref.ref(oracle)

    del oracle
    gc.collect()

    assert gone() is None


class InTurn:
    """Proposes one configuration after the other has ended, then none."""

    is_heavy = False

    def propose(self, history: Any, index: int) -> SearcherDecision:
        """Wait while one runs."""
        if history.unfinished:
            return Wait()
        return Proposal({"a": index + 1}) if index < 3 else Exhausted()


class Locked(Oracle):
    """Locks what KerasTuner locked, and calls what it overrides."""

    @synchronized
    async def create_trial(self, tuner_id: str) -> Trial:
        """Create under the lock."""
        return await super().create_trial(tuner_id)

    @synchronized
    async def end_trial(self, trial: Any, status: Any = None) -> None:
        """End under the lock."""
        await super().end_trial(trial, status)


@pytest.mark.virtual_time
async def test_waiting_for_a_result_keeps_nobody_from_telling_it() -> None:
    """A create_trial that waits for an end_trial gives the lock up meanwhile, and takes it back."""
    oracle = Locked("loss", hyperparameters=space(), searcher=InTurn())
    ran = []

    async def work(name: str) -> None:
        while (trial := await oracle.create_trial(name)).status == "RUNNING":
            ran.append(trial.trial_id)
            await asyncio.sleep(1)
            await oracle.update_trial(trial.trial_id, {"loss": 1.0})
            await oracle.end_trial(trial)

    async with asyncio.timeout(60):
        await asyncio.gather(work("1"), work("2"), work("3"))

    assert ran == ["0000", "0001", "0002"]


@pytest.mark.virtual_time
async def test_who_is_cancelled_while_it_waits_leaves_the_lock_to_others() -> None:
    """Neither is it lost, nor given back twice."""
    oracle = Locked("loss", hyperparameters=space(), searcher=InTurn())
    first = await oracle.create_trial("1")
    waiting = asyncio.ensure_future(oracle.create_trial("2"))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.wait([waiting])

    await oracle.update_trial(first.trial_id, {"loss": 1.0})
    async with asyncio.timeout(60):
        await oracle.end_trial(first)
        second = await oracle.create_trial("3")

    assert waiting.cancelled()
    assert second.trial_id == "0001"
