"""What an oracle decides when it goes on with a project."""

from __future__ import annotations

from typing import Any

import pytest

from aiotune import events
from aiotune.errors import SpaceChanged
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.oracles import _core
from aiotune.oracles._fits import check_search
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState

LOSS = Objective("loss", "min")


def state_with_trials() -> ProjectState:
    """Return a state with trials 0 new, 1 in an attempt, 2 cancelled, 3 ended, 4 queued."""
    state = ProjectState(seed=0, objective=LOSS)
    for index in range(5):
        state.apply(events.TrialCreated(trial_id=str(index), index=index, values={}))
    for index in (1, 2):
        state.apply(events.AttemptStarted(trial_id=str(index), attempt=1, attempt_id=f"{index}-01"))
    state.apply(
        events.AttemptEnded(
            trial_id="2", attempt=1, attempt_id="2-01", outcome=TrialStatus.CANCELLED
        )
    )
    state.apply(events.TrialEnded(trial_id="3", status=TrialStatus.COMPLETED, values={}, score=1.0))
    state.apply(events.TrialRequeued(trial_id="4", reason="lost", lost=1))
    return state


def test_unfinished_trials_are_taken_up() -> None:
    """Only one whose attempt was open is counted as lost; queued ones are in the queue already."""
    decided = _core.take_up(state_with_trials(), _core.RetryPolicy(), at=0.0)

    assert decided == [
        events.TrialRequeued(trial_id="0", reason="running", lost=0),
        events.TrialRequeued(trial_id="1", reason="lost", lost=1),
        events.TrialRequeued(trial_id="2", reason="cancelled", lost=0),
    ]


def test_a_trial_that_takes_the_tuner_down_every_time_fails() -> None:
    """After max_lost losses it is FAILED, with a sentence, so that a search can end."""
    state = state_with_trials()
    state.trials["1"].lost = 5

    failed = _core.take_up(state, _core.RetryPolicy(max_lost=5), at=0.0)[1]

    assert isinstance(failed, events.TrialEnded)
    assert failed.status is TrialStatus.FAILED
    assert failed.failure == TrialFailure(
        kind=FailureKind.LOST, message="The tuner itself died during this trial 6 times."
    )


def test_interrupted_trials_are_those_that_may_have_left_a_result() -> None:
    """Their attempt is open, or ended well without the trial's own end being recorded."""
    state = state_with_trials()
    state.apply(events.AttemptStarted(trial_id="0", attempt=2, attempt_id="0-02"))
    state.apply(
        events.AttemptEnded(
            trial_id="0", attempt=2, attempt_id="0-02", outcome=TrialStatus.COMPLETED
        )
    )

    found = [(trial.trial_id, attempt_id) for trial, attempt_id in _core.interrupted(state)]

    assert found == [("0", None), ("1", "1-01")]


def search(**changes: Any) -> events.SearchStarted:
    fields: dict[str, Any] = {
        "oracle": "RandomSearchOracle",
        "objective": LOSS.to_dicts(),
        "seed": 1,
        "max_trials": 10,
    }
    return events.SearchStarted(**{**fields, **changes})


def test_another_budget_or_seed_continues_a_project() -> None:
    """What decides nothing about the trials that are there may change."""
    check_search(search(), search(max_trials=20, seed=3))


def test_another_objective_or_oracle_is_refused() -> None:
    """The sentence has both, and the way out."""
    with pytest.raises(SpaceChanged, match=r"objective 'loss' \(min\); this program says 'acc'"):
        check_search(search(), search(objective=Objective("acc", "max").to_dicts()))
    with pytest.raises(SpaceChanged, match=r"oracle RandomSearchOracle; .* GridSearch.*overwrite"):
        check_search(search(), search(oracle="GridSearchOracle"))


def test_another_searcher_is_refused() -> None:
    """By its class, or by what it says must not change; a project that does not know goes on."""
    depth = {"searcher": "Mine", "searcher_settings": {"depth": 3, "wide": 1}}
    for same in (search(), search(**depth), search(searcher="Mine")):
        check_search(same, search(**depth))
        check_search(search(**depth), same)

    with pytest.raises(
        SpaceChanged, match=r"the searcher GridSearcher; .* RandomSearcher\. .*overwr"
    ):
        check_search(search(searcher="GridSearcher"), search(searcher="RandomSearcher"))
    with pytest.raises(SpaceChanged, match=r"with Mine's depth 3; this program says 4\."):
        check_search(search(**depth), search(searcher="Mine", searcher_settings={"depth": 4}))


def spaces(**asks: tuple[Any, ...]) -> list[HyperParameters]:
    """Return two spaces with one hyperparameter of each kind, before and after a change."""
    made = []
    for version in (0, 1):
        hp = HyperParameters()
        for method, arguments in asks.items():
            getattr(hp, method)("units", *arguments[version])
        made.append(hp)
    return made


@pytest.mark.parametrize(
    ("asks", "sentence"),
    [
        (
            {"Int": ((32, 512), (32, 1024, 32))},
            "'units' Int from 32 to 512 in steps of 1; this program says Int from 32 to 1024 in steps of 32.",
        ),
        (
            {"Float": ((0.1, 0.2), (0.1, 0.2, None, "log"))},
            "'units' Float from 0.1 to 0.2; this program says Float from 0.1 to 0.2, log.",
        ),
        (
            {"Choice": (([1, 2],), ([1, 3],))},
            "'units' Choice among [1, 2], by default 1; this program says Choice among [1, 3], by default 1.",
        ),
        ({"Fixed": ((1,), (2,))}, "'units' fixed at 1; this program says fixed at 2."),
        (
            {"Boolean": ((False,), (True,))},
            "'units' Boolean, by default False; this program says Boolean, by default True.",
        ),
    ],
)
def test_another_range_is_refused(asks: dict[str, Any], sentence: str) -> None:
    """Both ranges are in the message, and what starting afresh would cost."""
    before, after = spaces(**asks)

    with pytest.raises(SpaceChanged) as caught:
        _core.check_space(before, after, state_with_trials())

    assert f"This project was searched with {sentence}" in str(caught.value)
    assert "discard 1 finished trials" in str(caught.value)


def test_a_change_that_the_range_does_not_show_is_shown_in_full() -> None:
    """Another default alone is told by the hyperparameters' own text."""
    before, after = spaces(Int=((1, 9, None, None, 2), (1, 9, None, None, 3)))

    with pytest.raises(SpaceChanged, match=r"default=2.*default=3"):
        _core.check_space(before, after, state_with_trials())


def test_new_and_missing_hyperparameters_are_no_change() -> None:
    """A space may grow, and a program need not ask for everything."""
    before, after = HyperParameters(), HyperParameters()
    before.Int("a", 1, 9)
    after.Int("b", 1, 9)

    _core.check_space(before, after, state_with_trials())


def test_only_what_is_new_makes_the_space_grow() -> None:
    """Equal entries make no event."""
    state = ProjectState(seed=0, objective=LOSS)
    hp = HyperParameters()
    hp.Int("a", 1, 9)
    event = _core.grew(state, hp)
    assert event is not None
    state.apply(event)
    hp.Int("b", 1, 9)

    again = _core.grew(state, hp)

    assert again is not None
    assert [entry["config"]["name"] for entry in again.entries] == ["b"]
    state.apply(again)
    assert _core.grew(state, hp) is None
