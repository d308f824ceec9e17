"""Hyperband when trials fail, or configurations run out."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotune import events
from aiotune.hyperparameters import Boolean, HyperParameters, Space, serialize
from aiotune.searchers import Exhausted, HyperbandSearcher, Proposal, Tried, Wait
from aiotune.status import TrialStatus
from aiotune.testing import Rehearsal
from aiotune.testing._searchers import conditional_space, continuous_space


class Story(Rehearsal):
    """A rehearsal on a space without an end, that tells of brackets and rounds."""

    def __init__(
        self,
        searcher: HyperbandSearcher,
        space: HyperParameters | None = None,
    ) -> None:
        super().__init__(searcher, space or continuous_space())

    def ask_all(self, count: int) -> list[Proposal]:
        asked = [self.ask() for _ in range(count)]
        return [decision for decision in asked if isinstance(decision, Proposal)]

    def of(self, bracket: int, round_number: int) -> list[Tried]:
        place = {"bracket": bracket, "round": round_number}
        return [t for t in self.state.tried if place.items() <= t.budget.items()]


def places(story: Story) -> list[tuple[int, int, int]]:
    """Bracket, round and last epoch of each trial, in order."""
    found = [
        (t.budget["bracket"], t.budget["round"], t.budget["epochs"]) for t in story.state.tried
    ]
    return [(int(b), int(r), int(e)) for b, r, e in found]


def completed(trials: list[Tried]) -> int:
    return sum(t.status is TrialStatus.COMPLETED for t in trials)


def parents(trials: list[Tried]) -> set[int]:
    return {int(t.budget["parent"]) for t in trials}


@pytest.mark.parametrize("status", [TrialStatus.FAILED, TrialStatus.REJECTED])
def test_a_failure_in_the_first_round_is_replaced_by_a_new_configuration(
    status: TrialStatus,
) -> None:
    """The round has as many completed trials as it has places."""
    story = Story(HyperbandSearcher(9, 3))
    story.ask_all(9)
    story.tell(3, status=status)

    replaced = story.ask()

    assert isinstance(replaced, Proposal)
    assert (replaced.budget["bracket"], replaced.budget["round"]) == (2, 0)
    assert replaced.values not in [t.values for t in story.state.tried[:-1]]


def test_a_failure_after_a_promotion_is_replaced_by_the_next_best() -> None:
    """The places of a later round go to those that would have been promoted next."""
    story = Story(HyperbandSearcher(9, 3))
    story.ask_all(9)
    for index in range(9):
        story.tell(index, score=float(index))
    story.ask_all(3)
    story.tell(10, status=TrialStatus.FAILED)

    replaced = story.ask()

    assert isinstance(replaced, Proposal)
    assert (replaced.budget["round"], replaced.budget["parent"]) == (1, 3)


def test_with_nobody_left_to_replace_a_failure_the_round_is_smaller() -> None:
    """Each promoted trial fails: all candidates are tried, then the bracket ends without a result."""
    story = Story(HyperbandSearcher(3, 3))
    while True:
        decision = story.ask()
        if isinstance(decision, Exhausted):
            break
        for index in list(story.state.unfinished):
            later = story.state.tried[index].budget["round"] != 0
            story.tell(index, 1.0, TrialStatus.FAILED if later else TrialStatus.COMPLETED)

    entered, promoted = story.of(1, 0), story.of(1, 1)
    assert len(entered) == completed(entered) == len(promoted) == 3
    assert parents(promoted) == {t.index for t in entered}


def test_a_round_that_lost_its_candidates_still_passes_on_its_best() -> None:
    """Nine trials for three places, seven of which fail: one of the two that are left goes on."""
    story = Story(HyperbandSearcher(9, 3))
    story.ask_all(9)
    for index in range(9):
        story.tell(index, score=float(index))
    promoted: list[int] = []
    while len(promoted) < 9:
        decision = story.ask()
        index = len(story.state.tried) - 1
        if isinstance(decision, Proposal) and decision.budget["round"] == 1:
            promoted.append(int(decision.budget["parent"]))
            fails = len(promoted) <= 7
            story.tell(index, float(index), TrialStatus.FAILED if fails else TrialStatus.COMPLETED)

    last = story.ask()

    assert promoted == list(range(9))
    assert isinstance(last, Proposal)
    assert (last.budget["bracket"], last.budget["round"]) == (2, 2)
    assert story.state.tried[int(last.budget["parent"])].budget["parent"] == 7


def test_a_used_up_space_is_full_again_in_another_history() -> None:
    """What one searcher found used up in a project is untried in the next."""
    searcher = HyperbandSearcher(27, 3)
    for seed in range(5):
        story = Rehearsal(searcher, conditional_space(), seed=seed)
        story.run(1000)
        assert len(story.configurations) == 18 + 6 + 2 + 1


def test_a_program_that_always_fails_comes_to_an_end() -> None:
    """A bracket replaces as many failures as it has places, no more."""
    story = Story(HyperbandSearcher(9, 3))
    decision = story.ask()
    while not isinstance(decision, Exhausted):
        for index in list(story.state.unfinished):
            story.tell(index, status=TrialStatus.FAILED)
        decision = story.ask()

    assert Counter(b for b, _, _ in places(story)) == {2: 9, 1: 5, 0: 3}


@pytest.mark.parametrize("at_once", [1, 4, 50])
def test_a_space_with_few_configurations_is_searched_to_the_last_epoch(at_once: int) -> None:
    """18 configurations for 27 places: each is entered once; two thirds of each round follow."""
    space = conditional_space()
    story = Story(HyperbandSearcher(27, 3), space)

    last = story.run(1000, at_once=at_once)

    entered = [repr(sorted(t.values.items())) for t in story.of(3, 0)]
    every = [repr(sorted(v.items())) for v in Space.of(space.space).configurations()]
    assert last == Exhausted()
    assert sorted(entered) == sorted(every)
    assert [len(story.of(3, r)) for r in range(4)] == [18, 6, 2, 1]
    assert len(story.state.tried) == 18 + 6 + 2 + 1


def test_a_space_that_grows_fills_the_first_round_after_all() -> None:
    """A hyperparameter that a trial discovers makes new configurations for the places that are left."""
    story = Story(HyperbandSearcher(27, 3), conditional_space())
    story.ask_all(18)
    assert story.ask() == Wait()

    story._record(events.SpaceGrew(entries=[serialize(Boolean("more"))]))
    found = story.ask()

    assert isinstance(found, Proposal)
    assert (found.budget["bracket"], found.budget["round"]) == (3, 0)


def test_a_program_without_hyperparameters_is_trained_to_the_last_epoch() -> None:
    """There is one configuration: it is tried in the first round, and goes on through all others."""
    story = Story(HyperbandSearcher(9, 3), HyperParameters())

    last = story.run(100)

    assert last == Exhausted()
    assert [e for _, _, e in places(story)] == [1, 3, 9]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), slots=st.integers(1, 12), shape=st.sampled_from([(9, 3), (8, 2), (5, 4)]))
def test_whatever_happens_the_rounds_keep_their_rules(
    data: st.DataObject, slots: int, shape: tuple[int, int]
) -> None:
    """Any order of ends, any failures: it ends, none goes on twice, no round is too large."""
    story = Story(HyperbandSearcher(*shape), conditional_space())
    while True:
        decision = story.ask() if len(story.state.unfinished) < slots else Wait()
        if isinstance(decision, Exhausted):
            break
        if isinstance(decision, Wait):
            index = data.draw(st.sampled_from(sorted(story.state.unfinished)))
            failed = data.draw(st.integers(0, 9)) == 0
            status = TrialStatus.FAILED if failed else TrialStatus.COMPLETED
            story.tell(index, float(data.draw(st.integers(0, 5))), status)

    assert not story.state.unfinished
    for bracket in HyperbandSearcher(*shape).brackets:
        entered = completed(story.of(bracket.number, 0))
        for number in range(1, bracket.number + 1):
            promoted = story.of(bracket.number, number)
            share = math.ceil(bracket.sizes[number] * entered / bracket.sizes[0])
            assert len(parents(promoted)) == len(promoted)
            assert completed(promoted) <= share
            below = completed(story.of(bracket.number, number - 1))
            lost = len(promoted) - completed(promoted)
            assert completed(promoted) == min(share, below - lost)
