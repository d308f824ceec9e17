"""From old trials to facts of a journal: values, failures, statuses, names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from aiotune import events
from aiotune.errors import ConfigurationError
from aiotune.failures import FailureKind
from aiotune.hyperparameters import Boolean, Choice, Float, HyperParameter, Int, Parent, serialize
from aiotune.migration._read import OldProject, OldTrial
from aiotune.migration._search_name import find_oracle
from aiotune.migration._translate import boolean_notes, space_of, translate, values_of
from aiotune.objective import Objective
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState

LOSS = Objective("loss", "min")


def old_trial(trial_id: str = "0", status: str = "COMPLETED", **fields: Any) -> OldTrial:
    given: dict[str, Any] = {
        "values": {},
        "entries": (),
        "observed": {"loss": {0: (1.0,)}},
        "score": 1.0,
        "best_step": 0,
        "message": None,
        "directory": Path("old"),
        **fields,
    }
    return OldTrial(trial_id, status, **given)


def project(
    *trials: OldTrial, entries: tuple[HyperParameter, ...] = (), **fields: Any
) -> OldProject:
    given: dict[str, Any] = {
        "end_order": tuple(trial.trial_id for trial in trials),
        "run_times": {},
        "state": {"seed": 5},
        **fields,
    }
    return OldProject(Path("old"), trials, entries=tuple(map(serialize, entries)), **given)


def facts_of(old: OldProject) -> list[events.Event]:
    return list(translate(old, space_of(old), LOSS, "RandomSearchOracle").facts)


def replayed(old: OldProject) -> ProjectState:
    return ProjectState.replay(facts_of(old), seed=0, objective=LOSS)


def failure_of(**fields: Any) -> Any:
    state = replayed(project(old_trial("0", "FAILED", score=None, observed={}, **fields)))
    return state.trials["0"].failure


def test_the_search_and_the_space_come_first() -> None:
    """With the seed that KerasTuner had."""
    began, grew, created, reported, ended = facts_of(
        project(old_trial(values={"a": 2}), entries=(Int("a", 1, 3),))
    )

    assert began == events.SearchStarted(
        oracle="RandomSearchOracle", objective=LOSS.to_dicts(), seed=5, max_trials=None
    )
    assert grew == events.SpaceGrew(entries=[serialize(Int("a", 1, 3))])
    assert isinstance(created, events.TrialCreated)
    assert (created.values, created.index, created.stream) == ({"a": 2}, 0, None)
    assert isinstance(reported, events.MetricsReported)
    assert isinstance(ended, events.TrialEnded)
    assert (ended.score, ended.metrics, ended.values) == (1.0, {"loss": 1.0}, {"a": 2})


def test_trials_end_in_the_order_in_which_they_ended() -> None:
    """Which need not be that of their start."""
    facts = facts_of(project(old_trial("0"), old_trial("1"), end_order=("1", "0")))

    assert [f.trial_id for f in facts if isinstance(f, events.TrialCreated)] == ["0", "1"]
    assert [f.trial_id for f in facts if isinstance(f, events.TrialEnded)] == ["1", "0"]


def test_every_step_and_execution_is_kept() -> None:
    """What an old program reported through the oracle, several values a step."""
    observed = {"loss": {1: (4.0,), 2: (1.0, 3.0)}, "mae": {2: (0.5, math.nan)}}
    trial = replayed(project(old_trial(observed=observed, score=2.0, best_step=2))).trials["0"]

    assert [o.value for o in trial.metrics.get_history("loss")] == [[4.0], [1.0, 3.0]]
    assert (trial.score, trial.best_step) == (2.0, 2)
    assert math.isnan(trial.metrics.get_history("mae")[0].value[1])


@pytest.mark.parametrize("status", ["RUNNING", "IDLE", "STOPPED"])
def test_what_had_not_ended_will_run_again(status: str) -> None:
    """It waits in the queue, with its values."""
    state = replayed(project(old_trial("0", status, values={"a": 2}, score=None)))

    assert list(state.queue) == ["0"]
    assert dict(state.trials["0"].values) == {"a": 2}
    assert state.trials["0"].metrics.metrics == {}


def test_what_waited_for_a_retry_has_used_up_its_runs() -> None:
    """As many failures as it had, and the last one's traceback."""
    trial = old_trial("0", "INVALID", score=None, message="Traceback ...\nValueError: no")
    state = replayed(project(trial, run_times={"0": 2}))
    queued = state.trials["0"]

    assert list(state.queue) == ["0"]
    assert (queued.status, queued.failures) == (TrialStatus.QUEUED, 2)
    assert queued.failure is not None
    assert queued.failure.summary() == "ValueError: no"


def test_a_traceback_becomes_a_failure() -> None:
    """Its last unindented lines name the exception, which may have several lines."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n'
        "    raise a.b.OddError(text)\n"
        "a.b.OddError: first\n"
        "second line\n"
    )
    failure = failure_of(message=text)

    assert (failure.kind, failure.type, failure.message) == (
        FailureKind.ERROR, "OddError", "first\nsecond line",
    )  # fmt: skip
    assert failure.traceback == text.strip()


@pytest.mark.parametrize(
    ("message", "kind", "summary"),
    [
        ("keras_tuner.src.errors.FailedTrialError: too large", "failed_trial", "FailedTrialError: too large"),
        ("KeyError", "error", "KeyError"),
        ("it did not work out", "error", "it did not work out"),
        (None, "not_finite", "not_finite"),
    ],
)  # fmt: skip
def test_other_messages_are_kept_as_well_as_they_can_be(
    message: str | None, kind: str, summary: str
) -> None:
    """A final failure, an exception without words, words without an exception, nothing."""
    failure = failure_of(message=message)

    assert (failure.kind, failure.summary()) == (kind, summary)


def test_a_completed_trial_without_a_finite_score_counts_as_failed() -> None:
    """No score of ours is ever NaN."""
    state = replayed(project(old_trial(score=math.nan)))

    assert state.trials["0"].status is TrialStatus.FAILED
    assert state.best is None


def test_values_get_the_types_of_their_hyperparameters() -> None:
    """Floats of KerasTuner's grid become whole again; control data goes; what is unknown stays."""
    old = project(entries=(Int("i", 1, 8, step=2, sampling="log"), Float("f", 0, 4), Boolean("b")))
    trial = old_trial(values={"i": 4.0, "f": 2, "b": 1, "other": 3, "tuner/epochs": 5})

    values = values_of(trial, space_of(old))

    assert values == {"i": 4, "f": 2.0, "b": True, "other": 3}
    assert [type(v) for v in values.values()] == [int, float, bool, int]


def test_choices_that_were_booleans_can_be_named() -> None:
    """Then they are booleans again, in the space, in conditions and in the trials."""
    bn, child = Choice("bn", [1, 0]), Int("c", 1, 2, conditions=[Parent("bn", [1])])
    old = project(old_trial(values={"bn": 0}), entries=(bn, child))

    space = space_of(old, ["bn"])

    assert space.space == [
        Choice("bn", [True, False]),
        Int("c", 1, 2, conditions=[Parent("bn", [True])]),
    ]
    assert space.space[0].values[0] is True
    assert values_of(old.trials[0], space)["bn"] is False
    assert boolean_notes(space.space) == []
    assert "--boolean bn" in boolean_notes(space_of(old).space)[0]


@pytest.mark.parametrize("name", ["a", "nothing"])
def test_a_name_of_no_such_choice_is_refused(name: str) -> None:
    """With the names that there are."""
    with pytest.raises(ConfigurationError, match=rf"{name!r} is no Choice of 1 and 0 .* \['a'\]"):
        space_of(project(entries=(Choice("a", [1, 2]),)), [name])


def test_a_hyperparameter_that_aiotune_refuses_is_named() -> None:
    """KerasTuner lets a default lie outside its range."""
    entry = serialize(Int("a", 1, 3))
    entry["config"]["default"] = 9
    old = OldProject(Path("old"), (), (), (entry,), {}, {})

    with pytest.raises(ConfigurationError, match=r"The space of old cannot be taken over: .*'a'"):
        space_of(old)


@pytest.mark.parametrize(
    ("entries", "values", "expected"),
    [
        ((Choice("a", [1, 2]), Boolean("b")), [(1, False), (1, True), (2, False)], "Grid"),
        ((Choice("a", [1, 2]), Boolean("b")), [(1, False), (2, False), (1, True)], "Random"),
        ((Choice("a", [1, 2]), Boolean("b")), [(1, True), (2, True)], "Random"),
        ((Float("a", 0, 1), Boolean("b")), [(0.0, False), (0.25, False), (0.05, True)], "Grid"),
        ((Float("a", 0, 1), Boolean("b")), [(0.0, False), (0.3, False)], "Random"),
        ((), [], "Random"),
    ],
)
def test_a_grid_is_told_by_the_order_of_its_trials(
    entries: tuple[HyperParameter, ...], values: list[tuple[Any, Any]], expected: str
) -> None:
    """Defaults first, the last hyperparameter fastest; samples of a range in any order."""
    tried = [dict(zip("ab", one, strict=True)) for one in values]

    assert find_oracle(project(), entries, tried) == f"{expected}SearchOracle"
