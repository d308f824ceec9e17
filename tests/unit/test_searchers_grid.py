"""Grid search: the order of combinations, what covers them, what discovery adds."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiotune import events
from aiotune._values import Value
from aiotune.hyperparameters import HyperParameters, serialize
from aiotune.objective import Objective
from aiotune.searchers import Exhausted, GridSearcher, Proposal, Wait
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState
from aiotune.testing import Rehearsal

Build = Callable[[HyperParameters], None]


def search(build: Build, *, at_once: int = 1, limit: int = 100) -> list[dict[str, Value]]:
    """Run a whole search in which each trial asks for its hyperparameters while it runs."""
    state = ProjectState(seed=0, objective=Objective("loss", "min"))
    searcher = GridSearcher()
    while len(state.tried) < limit:
        index = len(state.tried)
        full = len(state.unfinished) >= at_once
        decision = Wait() if full else searcher.propose(state, index)
        match decision:
            case Proposal(values=values):
                state.apply(
                    events.TrialCreated(trial_id=str(index), index=index, values=dict(values))
                )
            case Wait():
                finish(state, min(state.unfinished), build)
            case Exhausted():
                break
    return [dict(tried.values) for tried in state.tried]


def finish(state: ProjectState, index: int, build: Build) -> None:
    hp = state.trials[str(index)].hyperparameters
    hp.add(state.space.space)
    build(hp)
    new = [serialize(entry) for entry in hp.space if state.space.known(entry) is None]
    state.apply(events.SpaceGrew(entries=new))
    state.apply(
        events.TrialEnded(
            trial_id=str(index), status=TrialStatus.COMPLETED, values=dict(hp.values), score=1.0
        )
    )


def golden(hp: HyperParameters) -> None:
    a = hp.Choice("a", [1, 2, 3])
    hp.Boolean("b", default=False)
    if a == 2:
        hp.Int("c", 1, 2)


def test_discovered_hyperparameters_take_their_place_in_the_order() -> None:
    """KerasTuner's order, where c is created by trials with a == 2 alone."""
    tried = [tuple(v.values()) for v in search(golden)]

    expected = [
        (1, False),
        (1, True),
        (2, False, 1),
        (2, False, 2),
        (2, True, 1),
        (2, True, 2),
        (3, False, 1),
        (3, False, 2),
        (3, True, 1),
        (3, True, 2),
    ]
    assert expected == tried


def test_branches_that_ask_for_different_things_are_all_covered() -> None:
    """A Boolean choosing between two children of three values makes 3 + 3 x 3 trials."""

    def build(hp: HyperParameters) -> None:
        if hp.Boolean("which", default=False):
            hp.Choice("left", [1, 2, 3])
        else:
            hp.Choice("right", [1, 2, 3])

    assert len(search(build)) == 12


def test_many_at_once_try_all_that_the_program_asks_for() -> None:
    """However many run while c is discovered, each combination in use is tried, and none twice."""
    in_use = {
        (("a", a), ("b", b), *((("c", c),) if a == 2 else ()))
        for a in (1, 2, 3)
        for b in (False, True)
        for c in (1, 2)
    }

    for at_once in (1, 2, 5, 64):
        tried = search(golden, at_once=at_once)
        used = {tuple((k, v) for k, v in t.items() if k != "c" or t["a"] == 2) for t in tried}
        assert used == in_use
        assert len({tuple(t.items()) for t in tried}) == len(tried)


def test_all_workers_have_something_to_do_at_once() -> None:
    """The grid is enumerated ahead of the trials: 24 points, 24 proposals, no result needed."""
    hp = HyperParameters()
    hp.Int("a", 1, 4)
    hp.Int("b", 1, 6)
    rehearsal = Rehearsal(GridSearcher(), hp)

    decisions = [rehearsal.ask() for _ in range(25)]

    assert all(isinstance(decision, Proposal) for decision in decisions[:24])
    assert decisions[24] == Wait()


def test_default_comes_first_and_the_last_hyperparameter_changes_fastest() -> None:
    """The first trial is the program as it was written."""
    hp = HyperParameters()
    hp.Choice("a", ["x", "y"], default="y")
    hp.Int("b", 1, 3, default=2)
    rehearsal = Rehearsal(GridSearcher(), hp)
    rehearsal.run(100)

    expected = [("y", 2), ("y", 1), ("y", 3), ("x", 2), ("x", 1), ("x", 3)]
    assert expected == [(v["a"], v["b"]) for v in rehearsal.configurations]


def test_inactive_children_are_left_out() -> None:
    """A child multiplies only the combinations in which its parent has the right value."""
    hp = HyperParameters()
    hp.Choice("kind", ["dense", "conv"])
    with hp.conditional_scope("kind", "conv"):
        hp.Choice("kernel", [3, 5])
    rehearsal = Rehearsal(GridSearcher(), hp)
    rehearsal.run(100)

    expected = [
        {"kind": "dense"},
        {"kind": "conv", "kernel": 3},
        {"kind": "conv", "kernel": 5},
    ]
    assert expected == rehearsal.configurations


def test_same_name_under_two_conditions_keeps_its_own_values() -> None:
    """Entries are told apart by their conditions, not by the name alone."""
    hp = HyperParameters()
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", "a"):
        hp.Choice("size", [1, 2])
    with hp.conditional_scope("kind", "b"):
        hp.Choice("size", [7, 8, 9])
    rehearsal = Rehearsal(GridSearcher(), hp)
    rehearsal.run(100)

    expected = [("a", 1), ("a", 2), ("b", 7), ("b", 8), ("b", 9)]
    assert expected == [(v["kind"], v["size"]) for v in rehearsal.configurations]


def test_a_range_without_a_step_is_sampled_in_ten_places_and_its_default() -> None:
    """A continuum has no grid of its own."""
    hp = HyperParameters()
    hp.Float("rate", 0.0, 1.0, default=0.33)
    rehearsal = Rehearsal(GridSearcher(), hp)
    last = rehearsal.run(100)

    rates = [v["rate"] for v in rehearsal.configurations]
    assert last == Exhausted()
    assert rates[0] == 0.33
    assert len(set(rates)) == 11


def test_values_outside_the_space_do_not_keep_a_trial_from_covering() -> None:
    """New entries that are not tuned would otherwise repeat the same combination for ever."""
    hp = HyperParameters()
    hp.Boolean("a")
    rehearsal = Rehearsal(GridSearcher(), hp)
    for index in range(2):
        rehearsal.ask()
        values = {**rehearsal.state.tried[index].values, "extra": index}
        rehearsal.state.apply(
            events.TrialEnded(
                trial_id=f"{index:04d}", status=TrialStatus.COMPLETED, values=values, score=1.0
            )
        )

    assert rehearsal.ask() == Exhausted()


def test_a_failed_trial_covers_its_combination() -> None:
    """A combination that failed for good is not tried again."""
    hp = HyperParameters()
    hp.Boolean("a")
    rehearsal = Rehearsal(GridSearcher(), hp)
    rehearsal.ask()
    rehearsal.state.apply(
        events.TrialEnded(trial_id="0000", status=TrialStatus.FAILED, values={"a": False})
    )

    rehearsal.run(100)

    expected = [{"a": False}, {"a": True}]
    assert expected == rehearsal.configurations


def test_nothing_known_is_tried_once_before_anything_else() -> None:
    """The first trial of a program that was never built discovers the grid for the others."""
    rehearsal = Rehearsal(GridSearcher(), HyperParameters())

    first, second = rehearsal.ask(), rehearsal.ask()
    rehearsal.tell(0)

    assert first == Proposal({})
    assert second == Wait()
    assert rehearsal.ask() == Exhausted()


def test_ten_thousand_points_stay_cheap() -> None:
    """A proposal costs the same at the end of a large grid as at its beginning."""
    hp = HyperParameters()
    for name in "abcd":
        hp.Int(name, 1, 10)
    rehearsal = Rehearsal(GridSearcher(), hp)
    began = time.process_time()

    last = rehearsal.run(10_001, at_once=64)

    assert last == Exhausted()
    assert len({tuple(v.values()) for v in rehearsal.configurations}) == 10_000
    assert time.process_time() - began < 5


def test_a_range_of_billions_is_walked_through_without_being_listed() -> None:
    """Who tunes a seed over 31 bits gets the first combinations at once, not after the memory is full."""
    hp = HyperParameters()
    hp.Int("seed", 0, 2**31 - 1, default=7)
    hp.Choice("units", [8, 16])
    rehearsal = Rehearsal(GridSearcher(), hp)

    rehearsal.run(6)

    expected = [(seed, units) for seed in (7, 0, 1) for units in (8, 16)]
    assert expected == [(c["seed"], c["units"]) for c in rehearsal.configurations]
