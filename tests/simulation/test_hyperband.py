"""Whole Hyperband searches on virtual time: slots stay busy, failures are replaced, kills change nothing."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

import anyio
import pytest

from aiotune import events
from aiotune.executors._simulated import Script
from aiotune.failures import FailureKind
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.oracles import HyperbandOracle
from aiotune.oracles._book import Book
from aiotune.searchers._brackets import brackets_of
from aiotune.status import TrialStatus
from aiotune.store import MemoryStore
from aiotune.store._replay import ProjectState
from aiotune.testing._simulation import Simulation, completes, fails
from aiotune.trial import Trial
from aiotune.wire import RunAttempt

pytestmark = pytest.mark.virtual_time

SEED = 11


def oracle(max_epochs: int = 27) -> HyperbandOracle:
    hp = HyperParameters()
    hp.Float("lr", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 1, 512)
    return HyperbandOracle(
        "loss", max_epochs, seed=SEED, hyperparameters=hp, max_consecutive_failed_trials=None
    )


def luck(order: RunAttempt, what: str) -> float:
    """A number in [0, 1) that the trial's values and epochs decide."""
    told = repr((sorted(order.space["values"].items()), order.budget["epochs"], what))
    return int.from_bytes(blake2b(told.encode(), digest_size=4).digest(), "little") / 2**32


def seconds(order: RunAttempt) -> float:
    """One second an epoch, and a little that no two trials share."""
    epochs = int(order.budget["epochs"]) - int(order.budget["initial_epoch"])
    return epochs * (1 + 0.1 * luck(order, "speed"))


def trains(order: RunAttempt) -> Script:
    return completes(order, luck(order, "score"), seconds=seconds(order))


def trains_or_fails(order: RunAttempt) -> Script:
    """One trial in ten fails, half of the way."""
    if luck(order, "failure") < 0.1:
        return fails(FailureKind.FAILED_TRIAL, seconds=seconds(order) / 2)
    return trains(order)


def story(trials: dict[str, Trial]) -> Counter[str]:
    """What was tried, where, and how it ended; without ids, which depend on who was first."""
    return Counter(
        repr((sorted(t.values.items()), t.budget["bracket"], t.budget["round"], t.status, t.score))
        for t in trials.values()
    )


def rounds(trials: dict[str, Trial]) -> dict[tuple[object, object], int]:
    """How many trials each round of each bracket completed."""
    return Counter(
        (t.budget["bracket"], t.budget["round"])
        for t in trials.values()
        if t.status is TrialStatus.COMPLETED
    )


def expected_rounds(max_epochs: int) -> dict[tuple[object, object], int]:
    return {
        (bracket.number, number): size
        for bracket in brackets_of(max_epochs, 3)
        for number, size in enumerate(bracket.sizes)
    }


async def test_slots_stay_busy_until_nothing_is_left_to_begin() -> None:
    """Four slots never wait for a round to fill: they run out of work only once, at the end."""
    spans: list[tuple[float, float]] = []

    def act(order: RunAttempt) -> Script:
        now = asyncio.get_running_loop().time()
        spans.append((now, now + seconds(order)))
        return trains(order)

    sim = Simulation(oracle(), act, slots=4)
    await sim.run()

    last_begun = max(begin for begin, _ in spans)
    idle = [end for _, end in spans if end < last_begun and _running(spans, end) < 4]
    work, longest = sum(end - begin for begin, end in spans), 27 * 1.1
    assert rounds(sim.oracle.trials) == expected_rounds(27)
    assert len(sim.oracle.trials) == 70
    assert idle == []
    assert anyio.current_time() < work / 4 + longest


def _running(spans: list[tuple[float, float]], moment: float) -> int:
    """How many run just after a moment; what takes the scheduler no virtual time is not counted."""
    return sum(begin <= moment + 0.01 < end for begin, end in spans)


@pytest.mark.parametrize("slots", [1, 4, 16])
async def test_failures_leave_every_round_with_its_trials(slots: int) -> None:
    """One attempt in ten fails: each failure is one trial more, and no round is short of one."""
    sim = Simulation(oracle(), trains_or_fails, slots=slots)

    await sim.run()

    statuses = Counter(t.status for t in sim.oracle.trials.values())
    assert rounds(sim.oracle.trials) == expected_rounds(27)
    assert statuses[TrialStatus.COMPLETED] == 70
    assert statuses[TrialStatus.FAILED] > 3
    assert len(sim.oracle.trials) == 70 + statuses[TrialStatus.FAILED]


async def test_same_search_however_many_run_at_once() -> None:
    """Failures and promotions included, one slot and seven tell the same story."""
    alone, crowd = (Simulation(oracle(), trains_or_fails, slots=slots) for slots in (1, 7))

    await alone.run()
    await crowd.run()

    assert story(crowd.oracle.trials) == story(alone.oracle.trials)


async def test_a_parent_has_completed_before_its_child_begins() -> None:
    """The child finds the weights where it goes on from."""
    begun: list[tuple[int, TrialStatus, object]] = []
    sim = Simulation(oracle(9), trains, slots=3)

    def act(order: RunAttempt) -> Script:
        if "parent" in order.budget:
            parent = list(sim.oracle.trials.values())[int(order.budget["parent"])]
            begun.append((order.index, parent.status, parent.budget["epochs"]))
            assert order.budget["initial_epoch"] == parent.budget["epochs"]
        return trains(order)

    sim.act = act
    await sim.run()

    assert {status for _, status, _ in begun} == {TrialStatus.COMPLETED}
    assert Counter(epochs for _, _, epochs in begun) == {1: 3, 3: 3}


async def _run_recorded(
    history: list[events.Event], act: Callable[[RunAttempt], Script]
) -> tuple[HyperbandOracle, list[events.Event]]:
    """Run a search to its end over what a journal holds; return it with its whole journal."""
    made = oracle()
    store = MemoryStore(history, keep=True)
    state = ProjectState.replay(history, seed=SEED, objective=Objective("loss", "min"))
    await made._continue(Book(state, store), None)
    await Simulation(made, act, slots=4).run()
    return made, store.events


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.8, 0.97])
async def test_a_killed_search_goes_on_as_if_nothing_had_happened(share: float) -> None:
    """Whatever part of the journal was written, the resumed search tells the whole story."""
    whole, journal = await _run_recorded([], trains_or_fails)
    written = journal[: math.ceil(share * len(journal))]
    unfinished = ProjectState.replay(written, seed=SEED, objective=Objective("loss", "min"))

    resumed, _ = await _run_recorded(written, trains_or_fails)

    assert unfinished.unfinished
    assert story(resumed.trials) == story(whole.trials)
