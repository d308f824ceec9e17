"""Every built-in searcher keeps the contract that plugins are held to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiotune.hyperparameters import draw_values
from aiotune.searchers import (
    BayesianSearcher,
    Exhausted,
    GridSearcher,
    History,
    HyperbandSearcher,
    Proposal,
    RandomSearcher,
    Searcher,
    SearcherDecision,
    Wait,
)
from aiotune.testing import SEARCHER_CHECKS
from aiotune.testing._searchers import (
    check_agrees_in_another_process,
    check_agrees_on_a_replayed_history,
    check_ends_when_a_finite_space_is_exhausted,
    check_proposes_only_what_is_in_the_space,
    check_same_configurations_however_many_run_at_once,
)

Make = Callable[[], Searcher]


@pytest.mark.parametrize("check", SEARCHER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", [RandomSearcher, GridSearcher])
def test_searcher_keeps_the_contract(make: Make, check: Callable[[Make], None]) -> None:
    """The check raises nothing."""
    check(make)


def _small_hyperband() -> Searcher:
    """Promotes within the few trials of a check."""
    return HyperbandSearcher(4, 2)


@pytest.mark.parametrize(
    ("check", "make"),
    [
        (check_proposes_only_what_is_in_the_space, _small_hyperband),
        (check_agrees_on_a_replayed_history, _small_hyperband),
        (check_agrees_in_another_process, HyperbandSearcher),
    ],
)
def test_hyperband_keeps_the_contract_of_what_learns_from_scores(
    make: Make, check: Callable[[Make], None]
) -> None:
    """The check raises nothing; that a promotion repeats its parent's values is no fault."""
    check(make)


@pytest.mark.parametrize(
    "check",
    [
        check_proposes_only_what_is_in_the_space,
        check_agrees_on_a_replayed_history,
        check_agrees_in_another_process,
        check_ends_when_a_finite_space_is_exhausted,
    ],
    ids=lambda check: check.__name__,
)
def test_bayesian_search_keeps_the_contract_of_what_learns_from_scores(
    check: Callable[[Make], None],
) -> None:
    """The check raises nothing."""
    check(BayesianSearcher)


class _Broken:
    """Draws at random, without any of the contract's care."""

    is_heavy = False

    def propose(self, history: History, index: int) -> SearcherDecision:
        return Proposal(draw_values(history.space.space, seed=0, index=index, stream=0))


class _Outside(_Broken):
    def propose(self, history: History, index: int) -> SearcherDecision:
        return Proposal({"units": 7})


class _Remembering(_Broken):
    def __init__(self) -> None:
        self.asked = 0

    def propose(self, history: History, index: int) -> SearcherDecision:
        self.asked += 1
        return super().propose(history, self.asked)


class _CountingUnfinished(_Broken):
    def propose(self, history: History, index: int) -> SearcherDecision:
        return super().propose(history, index + len(history.unfinished))


class _Waiting(_Broken):
    def propose(self, history: History, index: int) -> SearcherDecision:
        return Wait()


class _Early(_Broken):
    def propose(self, history: History, index: int) -> SearcherDecision:
        return Exhausted()


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (_Outside, check_proposes_only_what_is_in_the_space),
        (_Remembering, check_agrees_on_a_replayed_history),
        (_CountingUnfinished, check_same_configurations_however_many_run_at_once),
        (_Waiting, check_ends_when_a_finite_space_is_exhausted),
        (_Early, check_ends_when_a_finite_space_is_exhausted),
        (_Broken, check_ends_when_a_finite_space_is_exhausted),
    ],
)
def test_contract_refuses_a_broken_searcher(make: Make, check: Callable[[Make], None]) -> None:
    """A check that nothing can fail would prove nothing."""
    with pytest.raises(AssertionError):
        check(make)
