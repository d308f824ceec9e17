"""Hyperband: which trials it proposes, who is promoted, and when it ends."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

import pytest

from aiotune import events
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters import HyperParameters
from aiotune.searchers import Exhausted, HyperbandSearcher, Proposal, RandomSearcher, Wait
from aiotune.status import TrialStatus
from aiotune.testing import Rehearsal
from aiotune.testing._searchers import continuous_space


class Story(Rehearsal):
    """A rehearsal on a space without an end, that can be asked for many."""

    def __init__(
        self,
        searcher: HyperbandSearcher,
        space: HyperParameters | None = None,
        *,
        seed: int = 0,
        direction: str = "min",
    ) -> None:
        super().__init__(searcher, space or continuous_space(), seed=seed, direction=direction)

    def ask_all(self, count: int) -> list[Proposal]:
        asked = [self.ask() for _ in range(count)]
        return [decision for decision in asked if isinstance(decision, Proposal)]


def places(story: Story) -> list[tuple[int, int, int]]:
    """Bracket, round and last epoch of each trial, in order."""
    found = [
        (t.budget["bracket"], t.budget["round"], t.budget["epochs"]) for t in story.state.tried
    ]
    return [(int(b), int(r), int(e)) for b, r, e in found]


def test_one_at_a_time_a_bracket_is_finished_before_the_next_is_opened() -> None:
    """Rounds in order, each with its size and its epochs, then the next bracket."""
    story = Story(HyperbandSearcher(10, 3))

    last = story.run(1000)

    expected = (
        [(2, 0, 2)] * 12 + [(2, 1, 4)] * 4 + [(2, 2, 10)] * 2
        + [(1, 0, 4)] * 6 + [(1, 1, 10)] * 2
        + [(0, 0, 10)] * 4
    )  # fmt: skip
    assert last == Exhausted()
    assert expected == places(story)


@pytest.mark.parametrize(
    ("max_epochs", "factor", "trials"), [(27, 3, 70), (10, 3, 30), (8, 2, 36), (81, 3, 211), (50, 3, 90)]
)  # fmt: skip
@pytest.mark.parametrize("at_once", [1, 5, 64])
def test_number_of_trials_is_known_in_advance(
    max_epochs: int, factor: int, trials: int, at_once: int
) -> None:
    """All brackets together have as many trials as KerasTuner's."""
    story = Story(HyperbandSearcher(max_epochs, factor))

    last = story.run(1000, at_once=at_once)

    assert last == Exhausted()
    assert len(story.state.tried) == trials


@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_best_of_a_round_go_on(direction: str) -> None:
    """Those that are promoted are exactly the best, in either direction."""
    story = Story(HyperbandSearcher(9, 3), direction=direction)
    story.ask_all(9)
    for index in range(9):
        story.tell(index, score=float((index * 4) % 9))

    promoted = story.ask_all(3)

    best = (0, 1, 2) if direction == "min" else (8, 7, 6)
    expected = {index for index in range(9) if (index * 4) % 9 in best}
    assert expected == {p.budget["parent"] for p in promoted}


def test_a_promotion_continues_its_parent() -> None:
    """The parent's values, from the parent's last epoch, with the parent's index."""
    story = Story(HyperbandSearcher(9, 3))
    story.ask_all(9)
    for index in range(9):
        story.tell(index, score=float(index != 4))

    promoted = story.ask()

    assert promoted == Proposal(
        story.state.tried[4].values,
        0,
        {
            "epochs": 3,
            "initial_epoch": 1,
            "bracket": 2,
            "round": 1,
            "iteration": 0,
            "parent": 4,
        },
    )


def test_a_promotion_has_also_what_its_parent_discovered() -> None:
    """Values are the parent's final ones, so the child builds the same model."""
    story = Story(HyperbandSearcher(2, 2))
    (first, *_) = story.ask_all(4)
    values = {**first.values, "found": 3}
    story._record(
        events.TrialEnded(
            trial_id="0000", status=TrialStatus.COMPLETED, values=values, score=0.0, metrics={}
        )
    )
    for index in range(1, len(story.state.tried)):
        if index in story.state.unfinished:
            story.tell(index, score=1.0)

    promoted = story.ask()

    assert isinstance(promoted, Proposal)
    assert promoted.values == values


def test_a_trial_goes_on_as_soon_as_nobody_can_take_its_place() -> None:
    """Of nine for three places the best goes on when seven have ended, the second when eight have."""
    story = Story(HyperbandSearcher(9, 3))
    story.ask_all(9)

    promoted_at = []
    for index in range(9):
        story.tell(index, score=float(index))
        decision = story.ask()
        if isinstance(decision, Proposal) and "parent" in decision.budget:
            promoted_at.append((index + 1, decision.budget["parent"]))

    assert promoted_at == [(7, 0), (8, 1), (9, 2)]


@pytest.mark.parametrize("at_once", [2, 4, 16, 100])
def test_same_trials_however_many_run_at_once(at_once: int) -> None:
    """What is tried, for how long, and who goes on depend on scores alone."""

    def tried(slots: int) -> Counter[str]:
        story = Story(HyperbandSearcher(27, 3), seed=5)
        story.run(1000, at_once=slots)
        return Counter(
            repr((dict(t.values), t.budget["bracket"], t.budget["epochs"]))
            for t in story.state.tried
        )

    assert tried(at_once) == tried(1)


def test_of_equally_good_trials_the_older_goes_on() -> None:
    """A tie, as accuracies often are, is not decided by who ended first."""
    story = Story(HyperbandSearcher(9, 3))
    story.ask_all(9)
    for index in reversed(range(9)):
        story.tell(index, score=0.5)

    assert [p.budget["parent"] for p in story.ask_all(3)] == [0, 1, 2]


def test_slots_are_never_idle_before_the_last_bracket() -> None:
    """While a bracket waits for its results, the next ones are opened."""
    searcher = HyperbandSearcher(27, 3)
    story = Story(searcher)

    asked = [story.ask() for _ in range(27 + 12 + 6 + 4 + 1)]

    assert all(isinstance(decision, Proposal) for decision in asked[:-1])
    assert [b for b, _, _ in places(story)] == [3] * 27 + [2] * 12 + [1] * 6 + [0] * 4
    assert asked[-1] == Wait()


def test_iterations_repeat_the_brackets_with_other_configurations() -> None:
    """Two iterations are twice as many trials; the second begins while the first one ends."""
    story = Story(HyperbandSearcher(8, 2, hyperband_iterations=2))

    last = story.run(1000, at_once=3)

    firsts = [repr(t.values) for t in story.state.tried if t.budget["round"] == 0]
    assert last == Exhausted()
    assert Counter(t.budget["iteration"] for t in story.state.tried) == {0: 36, 1: 36}
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize("iterations", [0, None, math.inf])
def test_without_a_number_of_iterations_there_is_no_end(iterations: float | None) -> None:
    """Falsy or infinite: it goes on for as long as it is asked."""
    story = Story(HyperbandSearcher(4, 2, hyperband_iterations=iterations))

    last = story.run(300, at_once=2)

    assert isinstance(last, Proposal)
    assert last.budget["iteration"] in {19, 20}  # of 15 trials each


def test_the_first_bracket_tries_what_random_search_would() -> None:
    """The draws are those of random search with the same seed."""
    band, random = (
        Story(HyperbandSearcher(9, 3), seed=4),
        Rehearsal(RandomSearcher(), continuous_space(), seed=4),
    )
    band.ask_all(9)
    random.run(9)

    assert random.configurations == band.configurations


def test_trials_of_another_geometry_belong_to_no_bracket() -> None:
    """A project that goes on with another max_epochs begins anew, and repeats no configuration."""
    before = Story(HyperbandSearcher(9, 3))
    before.run(15)
    after = Story(HyperbandSearcher(27, 3))
    after.facts = before.facts
    after.state = before.state

    last = after.run(1000, at_once=2)

    new = [t for t in after.state.tried[15:] if t.budget["round"] == 0]
    old = [t.values for t in after.state.tried[:15]]
    assert last == Exhausted()
    assert len(after.state.tried) == 15 + 70
    assert not any(t.values in old for t in new)


@pytest.mark.parametrize(
    "budget",
    [
        {},
        {"bracket": 7, "round": 0, "iteration": 0, "epochs": 1, "initial_epoch": 0},
        {"bracket": 2, "round": 3, "iteration": 0, "epochs": 9, "initial_epoch": 3},
        {"bracket": 2, "round": 0, "iteration": -1, "epochs": 1, "initial_epoch": 0},
        {"bracket": 2, "round": 1, "iteration": 0, "epochs": 3, "initial_epoch": 1},
        {"bracket": 2, "round": 1, "iteration": 0, "epochs": 3, "initial_epoch": 1, "parent": 99},
        {"bracket": 2, "round": True, "iteration": 0, "epochs": 1, "initial_epoch": 0},
        {"bracket": "2", "round": 0, "iteration": 0, "epochs": 1, "initial_epoch": 0},
    ],
)
def test_a_trial_with_a_strange_budget_takes_no_place(budget: dict[str, Any]) -> None:
    """Budgets come from a file and from other searchers: what fits no bracket is left out."""
    story = Story(HyperbandSearcher(9, 3))
    story._record(events.TrialCreated(trial_id="0000", index=0, values={"a": 1}, budget=budget))

    first = story.ask_all(9)

    assert [p.budget["bracket"] for p in first] == [2] * 9


def test_one_searcher_may_be_asked_about_another_history() -> None:
    """Other scores, in a longer project: what it knew of the first is not mixed into the second."""
    searcher = HyperbandSearcher(9, 3)
    one, other = Story(searcher), Story(HyperbandSearcher(9, 3))
    for story, count, sign in ((one, 9, 1), (other, 14, -1)):
        story.ask_all(count)
        for index in range(9):
            story.tell(index, score=float(sign * index))
    promoted = one.ask_all(3)

    other.searcher = searcher

    assert [p.budget["parent"] for p in promoted] == [0, 1, 2]
    assert [p.budget["parent"] for p in other.ask_all(3)] == [8, 7, 6]


def test_a_history_before_anything_ended_is_told_by_its_budgets() -> None:
    """A trial of another searcher's was in the first place; in the next project it is one of ours."""
    searcher = HyperbandSearcher(9, 3)
    foreign, own = Story(searcher), Story(HyperbandSearcher(9, 3))
    foreign._record(events.TrialCreated(trial_id="0000", index=0, values={"a": 1}))
    foreign.ask()
    own.ask_all(9)
    own.searcher = searcher

    (next_one,) = own.ask_all(1)

    assert next_one.budget["bracket"] == 1


@pytest.mark.parametrize("at_once", [1, 5, 30])
def test_what_may_be_continued_is_known_until_it_is(at_once: int) -> None:
    """Who deletes the state of every other trial never deletes that of a future parent."""
    searcher = HyperbandSearcher(27, 3)
    story = Story(searcher)
    kept: set[int] = set()
    while True:
        decision = story.ask() if len(story.state.unfinished) < at_once else Wait()
        if isinstance(decision, Exhausted):
            break
        if isinstance(decision, Proposal):
            assert "parent" not in decision.budget or decision.budget["parent"] in kept
        else:
            ended = max(story.state.unfinished)
            story.tell(ended)
            kept = (kept | {ended}) & searcher.continuable(story.state)

    assert kept == set()
    assert len(story.state.tried) == 70


def test_few_trials_may_be_continued() -> None:
    """Of a full first round only as many as the second has places, and those the best."""
    searcher = HyperbandSearcher(9, 3)
    story = Story(searcher)
    story.ask_all(9)
    for index in range(9):
        story.tell(index, score=float(index))

    assert searcher.continuable(story.state) == {0, 1, 2}
    assert HyperbandSearcher(9, 3).continuable(story.state.frozen()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1}, r"factor of Hyperband must be a whole number >= 2 .* but is 1\."),
        ({"factor": 2.5}, r"factor .* but is 2\.5\."),
        ({"max_epochs": 0}, r"max_epochs of Hyperband must be a whole number >= 1 .* but is 0\."),
        ({"max_epochs": "9"}, r"max_epochs .* but is '9'\."),
        ({"hyperband_iterations": -1}, r"hyperband_iterations .* >= 0 .* but is -1\."),
        ({"hyperband_iterations": 1.5}, r"hyperband_iterations .* but is 1\.5\."),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    """With the argument's name, what it must be, and what it is."""
    with pytest.raises(ConfigurationError, match=message):
        HyperbandSearcher(**arguments)


def test_ten_thousand_trials_stay_cheap() -> None:
    """A proposal costs the same in the hundredth iteration as in the first."""
    story = Story(HyperbandSearcher(27, 3, hyperband_iterations=None))
    began = time.process_time()

    story.run(10_000, at_once=16)

    assert len(story.state.tried) == 10_000
    assert len(story.searcher._progress.open) < 10  # type: ignore[attr-defined]
    assert time.process_time() - began < 10
