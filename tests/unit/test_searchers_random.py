"""Random search: what it draws, and when it has nothing left."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from aiotune import events
from aiotune.hyperparameters import HyperParameters, draw_values, serialize
from aiotune.objective import Objective
from aiotune.searchers import Exhausted, Proposal, RandomSearcher, Wait
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState
from aiotune.testing import Rehearsal
from aiotune.testing._searchers import conditional_space, continuous_space


def state_of(*facts: events.Event, seed: int = 0) -> ProjectState:
    return ProjectState.replay(facts, seed=seed, objective=Objective("loss", "min"))


def created(index: int, **values: int) -> events.TrialCreated:
    return events.TrialCreated(trial_id=str(index), index=index, values=dict(values))


def ended(index: int, status: TrialStatus, **values: int) -> events.TrialEnded:
    return events.TrialEnded(trial_id=str(index), status=status, values=dict(values), score=1.0)


def test_a_proposal_is_the_draw_of_its_index() -> None:
    """Nothing but the seed, the index and the space decides, while draws do not collide."""
    space = continuous_space()
    rehearsal = Rehearsal(RandomSearcher(), space, seed=5)
    rehearsal.run(3)

    expected = [draw_values(space.space, seed=5, index=i, stream=0) for i in range(3)]
    assert expected == rehearsal.configurations


def test_another_seed_gives_other_configurations() -> None:
    """Two seeds agree in nothing on a continuous space."""
    one, two = (Rehearsal(RandomSearcher(), continuous_space(), seed=seed) for seed in (1, 2))
    one.run(5)
    two.run(5)

    assert all(a != b for a, b in zip(one.configurations, two.configurations, strict=True))


def test_a_collision_is_drawn_again_from_the_next_stream() -> None:
    """The stream that is recorded is the one that gave the values."""
    rehearsal = Rehearsal(RandomSearcher(), conditional_space())
    decisions = [rehearsal.ask() for _ in range(10)]

    streams = Counter(d.stream for d in decisions if isinstance(d, Proposal))
    entries = rehearsal.state.space.space
    for index, decision in enumerate(decisions):
        assert isinstance(decision, Proposal)
        assert decision.stream is not None
        drawn = draw_values(entries, seed=0, index=index, stream=decision.stream)
        assert drawn == decision.values
    assert streams.keys() - {0}, "no draw collided, so the test shows nothing"


def test_a_trial_of_a_continuum_never_exhausts_it() -> None:
    """A range without a step has no last configuration."""
    rehearsal = Rehearsal(RandomSearcher(), continuous_space())

    last = rehearsal.run(300)

    assert isinstance(last, Proposal)


def test_a_space_too_large_to_count_ends_when_draws_keep_colliding() -> None:
    """Past 100,000 configurations the rest is not looked for, as in KerasTuner."""

    class Everything(ProjectState):
        def contains(self, values: object) -> bool:
            return True

    hp = HyperParameters()
    hp.Int("a", 1, 400)
    hp.Int("b", 1, 400)
    state = Everything(seed=0, objective=Objective("loss", "min"))
    state.apply(events.SpaceGrew(entries=[serialize(entry) for entry in hp.space]))

    assert RandomSearcher().propose(state, 0) == Exhausted()


def test_the_last_configurations_of_a_large_space_are_found_off_the_loop() -> None:
    """Once draws collide in a space of thousands, a proposal counts as heavy; in a small one never."""
    hp = HyperParameters()
    hp.Int("a", 1, 2000)
    large, small = Rehearsal(RandomSearcher(), hp), Rehearsal(RandomSearcher(), conditional_space())

    heavy_at_first = large.searcher.is_heavy
    last = large.run(2001)
    small.run(100)

    assert not heavy_at_first
    assert large.searcher.is_heavy
    assert last == Exhausted()
    assert sorted(range(1, 2001)) == sorted(v["a"] for v in large.configurations)
    assert not small.searcher.is_heavy


def test_an_exhausted_space_waits_for_trials_that_may_discover_more() -> None:
    """Only when all trials have ended is there surely nothing left."""
    rehearsal = Rehearsal(RandomSearcher(), conditional_space())
    rehearsal.run(18, at_once=18)

    waits = rehearsal.ask()
    for index in range(18):
        rehearsal.tell(index)

    assert waits == Wait()
    assert rehearsal.ask() == Exhausted()


def test_a_grown_space_is_searched_on() -> None:
    """Hyperparameters found after exhaustion make new configurations."""
    hp = HyperParameters()
    hp.Boolean("a")
    rehearsal = Rehearsal(RandomSearcher(), hp)
    exhausted = rehearsal.run(10)
    hp.Boolean("b")
    rehearsal.state.apply(events.SpaceGrew(entries=[serialize(hp.space[1])]))

    rehearsal.run(10)

    assert exhausted == Exhausted()
    assert len(rehearsal.configurations) == 6


def test_nothing_known_is_proposed_as_nothing_for_each_trial_to_draw() -> None:
    """Trials side by side discover, and value, their hyperparameters themselves."""
    searcher, state = RandomSearcher(), state_of(created(0), created(1))

    assert searcher.propose(state, 2) == Proposal({}, 0)


@pytest.mark.parametrize("status", [TrialStatus.FAILED, TrialStatus.REJECTED])
def test_a_failed_trial_does_not_prove_that_there_is_nothing_to_tune(status: TrialStatus) -> None:
    """It may have failed before it asked."""
    state = state_of(created(0), ended(0, status))

    assert RandomSearcher().propose(state, 1) == Proposal({}, 0)


def test_a_program_without_hyperparameters_runs_once() -> None:
    """A completed trial that asked for nothing was the one configuration there is."""
    done = (created(0), ended(0, TrialStatus.COMPLETED))

    assert RandomSearcher().propose(state_of(*done), 1) == Exhausted()
    assert RandomSearcher().propose(state_of(*done, created(1)), 2) == Wait()


def test_draws_are_uniform() -> None:
    """Each of three choices takes a third of 3000 trials, within five standard deviations."""
    rehearsal = Rehearsal(RandomSearcher(), continuous_space())
    rehearsal.run(3000)

    counts = Counter(values["activation"] for values in rehearsal.configurations)

    spread = 5 * math.sqrt(3000 * (1 / 3) * (2 / 3))
    assert all(abs(counts[name] - 1000) < spread for name in ("relu", "tanh", "gelu"))


def test_a_float_with_equal_ends_does_not_make_a_space_endless() -> None:
    """Who pins a number so gets every configuration of the others, and then the end."""
    hp = HyperParameters()
    hp.Float("rate", 0.2, 0.2)
    hp.Int("units", 1, 40)
    rehearsal = Rehearsal(RandomSearcher(), hp)

    last = rehearsal.run(100)

    assert last == Exhausted()
    assert sorted(c["units"] for c in rehearsal.configurations) == list(range(1, 41))


def test_an_infinite_space_does_not_end_although_few_draws_enter_its_infinite_branch() -> None:
    """Nine optimizers of ten have nothing to tune, and are used up after nine trials."""
    space = HyperParameters()
    space.Choice("optimizer", list("abcdefghij"))
    with space.conditional_scope("optimizer", "a"):
        space.Float("momentum", 0.0, 1.0)
    rehearsal = Rehearsal(RandomSearcher(), space, seed=0)
    rehearsal.run(60)

    expected = {"a": 51, **dict.fromkeys("bcdefghij", 1)}
    assert expected == Counter(values["optimizer"] for values in rehearsal.configurations)
