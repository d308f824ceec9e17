"""Asking an oracle for trials: order, waiting, budgets."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from aiotune.errors import InternalError
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters, draw_values
from aiotune.oracles import Oracle, RandomSearchOracle
from aiotune.searchers import Exhausted, History, Proposal, SearcherDecision, Wait
from aiotune.status import TrialStatus
from aiotune.testing import run_virtual
from aiotune.trial import Trial


def space() -> HyperParameters:
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    hp.Boolean("b")
    return hp


def oracle_with(trials: int | None = 10, **kwargs: Any) -> RandomSearchOracle:
    return RandomSearchOracle("loss", trials, **{"seed": 0, "hyperparameters": space(), **kwargs})


async def finish(oracle: Oracle, trial: Trial, loss: float = 1.0) -> None:
    await oracle.update_trial(trial.trial_id, {"loss": loss})
    await oracle.end_trial(trial)


async def fail(oracle: Oracle, trial: Trial, kind: FailureKind = FailureKind.ERROR) -> None:
    trial.failure = TrialFailure(kind=kind, type="ValueError", message="broken")
    trial.status = TrialStatus.INVALID
    await oracle.end_trial(trial)


async def test_trials_are_numbered_and_drawn_in_order() -> None:
    """Each has its index, its id and the values of (seed, index)."""
    oracle = oracle_with()

    trials = [await oracle.create_trial(f"w{i}") for i in range(3)]

    assert [t.trial_id for t in trials] == ["00", "01", "02"]
    assert [t.index for t in trials] == [0, 1, 2]
    assert [dict(t.values) for t in trials] == [
        draw_values(space().space, seed=0, index=i, stream=0) for i in range(3)
    ]
    assert oracle.ongoing_trials == dict(zip(["w0", "w1", "w2"], trials, strict=True))
    assert oracle.remaining_trials() == 7


async def test_who_has_a_trial_gets_it_again() -> None:
    """Replicas of one worker share a trial, also when they ask at the same time."""
    oracle = oracle_with()

    first, second = await asyncio.gather(oracle.create_trial("w"), oracle.create_trial("w"))
    third = await oracle.create_trial("w")

    assert first is second is third
    assert len(oracle.trials) == 1


async def test_a_spent_budget_stops() -> None:
    """Failed trials count as used; the answer is a trial with status STOPPED, again and again."""
    oracle = oracle_with(1, max_consecutive_failed_trials=None)
    await fail(oracle, await oracle.create_trial("w"))

    answers = [await oracle.create_trial("w") for _ in range(2)]

    assert [t.status for t in answers] == [TrialStatus.STOPPED] * 2
    assert oracle.ongoing_trials == {}
    assert oracle.remaining_trials() == 0


async def test_many_at_once_are_served_in_order() -> None:
    """Sixteen askers get the sixteen configurations that one asker gets."""
    many, one = oracle_with(16), oracle_with(16)

    together = await asyncio.gather(*(many.create_trial(str(i)) for i in range(16)))
    alone = [await one.create_trial(str(i)) for i in range(16)]

    assert [t.index for t in together] == list(range(16))
    assert [t.values for t in together] == [t.values for t in alone]


class Turns:
    """A searcher that lets one trial run at a time, and counts how often it is asked."""

    is_heavy = False

    def __init__(self) -> None:
        self.asked = 0

    def propose(self, history: History, index: int) -> SearcherDecision:
        self.asked += 1
        if history.unfinished:
            return Wait()
        return Proposal({"a": index}) if index < 3 else Exhausted()


async def test_waiting_ends_when_a_trial_ends() -> None:
    """A searcher that wants results first is asked again then, and not in between."""
    searcher = Turns()
    oracle = Oracle("loss", searcher=searcher)
    first = await oracle.create_trial("w0")
    waiting = asyncio.ensure_future(oracle.create_trial("w1"))
    for _ in range(20):
        await checkpoint()
    asked_while_waiting = searcher.asked

    await finish(oracle, first)
    second = await waiting

    assert asked_while_waiting == 2
    assert searcher.asked == 3
    assert second.values == {"a": 1}


def test_waiting_is_not_polling() -> None:
    """With nothing else to happen, the wait is a plain deadlock and not a busy loop."""

    async def main() -> str:
        oracle = Oracle("loss", searcher=Turns())
        await oracle.create_trial("w0")
        try:
            async with asyncio.timeout(3600):
                await oracle.create_trial("w1")
        except TimeoutError:
            return "waited an hour"
        return "got a trial"

    assert run_virtual(main(), max_steps=200) == "waited an hour"


async def test_waiting_ends_when_the_space_grows() -> None:
    """A trial that still runs may make something new to propose."""

    class Curious(Turns):
        def propose(self, history: History, index: int) -> SearcherDecision:
            return Proposal({}) if index == 0 or history.space.space else Wait()

    oracle = Oracle("loss", searcher=Curious())
    await oracle.create_trial("w0")
    waiting = asyncio.ensure_future(oracle.create_trial("w1"))
    await checkpoint()
    waited = not waiting.done()

    await oracle.update_space(space())

    assert waited
    assert (await waiting).index == 1


class Heavy(Turns):
    """Answers from another thread, and lets the running trial end meanwhile."""

    is_heavy = True


class EndsMeanwhile:
    """An offloader: while the searcher thinks, the running trial ends."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    async def run(self, lane: str, function: Any, *args: Any, **kwargs: Any) -> Any:
        answer = function(*args)
        for trial in list(self.oracle.ongoing_trials.values()):
            await finish(self.oracle, trial)
        return answer


async def test_an_end_during_a_proposal_is_not_missed() -> None:
    """Wait(), decided before a trial ended, is asked again instead of waited for."""
    oracle = Oracle("loss", searcher=Heavy())
    oracle.offload = EndsMeanwhile(oracle)
    await oracle.create_trial("w0")

    async with asyncio.timeout(5):
        second = await oracle.create_trial("w1")

    assert second.values == {"a": 1}


async def test_a_heavy_searcher_runs_off_the_loop() -> None:
    """In a thread, with a history that stands still."""
    seen: list[tuple[str, str]] = []

    class Looking(Turns):
        is_heavy = True

        def propose(self, history: History, index: int) -> SearcherDecision:
            seen.append((threading.current_thread().name, type(history).__name__))
            return super().propose(history, index)

    await Oracle("loss", searcher=Looking()).create_trial("w")

    assert seen[0][0] != threading.current_thread().name
    assert seen[0][1] == "FrozenHistory"


async def test_waiting_for_nothing_is_a_bug_of_the_searcher() -> None:
    """It is said, instead of hanging for ever."""

    class Never(Turns):
        def propose(self, history: History, index: int) -> SearcherDecision:
            return Wait()

    with pytest.raises(InternalError, match=r"Never of Oracle.*no trial is running"):
        await Oracle("loss", searcher=Never()).create_trial("w")


async def test_who_has_a_trial_gets_it_again_while_others_wait_for_its_result() -> None:
    """Who was cancelled while asking holds a trial, and would else wait behind those who wait for it."""
    hp = HyperParameters()
    hp.Fixed("only", 1)
    oracle = RandomSearchOracle("loss", None, seed=0, hyperparameters=hp)
    trial = await oracle.create_trial("a")
    other = asyncio.ensure_future(oracle.create_trial("b"))
    await checkpoint()

    again = await asyncio.wait_for(oracle.create_trial("a"), 5)

    assert again is trial
    await oracle.end_trial(trial.trial_id, "FAILED")
    assert (await other).status is TrialStatus.STOPPED
