"""The state of a project as a fold over its events."""

from __future__ import annotations

import gc
import math
import random
import time
from typing import Any

import pytest

from aiotune import events
from aiotune.errors import JournalCorrupt
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters, serialize
from aiotune.objective import Objective
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState

BROKEN = TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="broken", traceback="tb")


def replay(*facts: events.Event, direction: str = "min") -> ProjectState:
    return ProjectState.replay(facts, seed=1, objective=Objective("loss", direction))


def grew(name: str = "a", high: int = 9) -> events.SpaceGrew:
    hp = HyperParameters()
    hp.Int(name, 1, high)
    return events.SpaceGrew(entries=[serialize(hp.space[0])])


def created(index: int = 0, **values: int) -> events.TrialCreated:
    return events.TrialCreated(trial_id=str(index), index=index, values=dict(values), stream=0)


def started(index: int = 0, attempt: int = 1) -> events.AttemptStarted:
    return events.AttemptStarted(
        trial_id=str(index), attempt=attempt, attempt_id=f"{index}-{attempt}", devices=["GPU-1"]
    )


def stopped(outcome: TrialStatus, index: int = 0, attempt: int = 1) -> events.AttemptEnded:
    return events.AttemptEnded(
        trial_id=str(index), attempt=attempt, attempt_id=f"{index}-{attempt}", outcome=outcome
    )


def retried(index: int = 0, failures: int = 1) -> events.RetryScheduled:
    return events.RetryScheduled(
        trial_id=str(index), next_attempt=2, failures=failures, retries_left=1, failure=BROKEN
    )


def ended(
    index: int = 0,
    status: TrialStatus = TrialStatus.COMPLETED,
    score: float | None = 1.0,
    **values: int,
) -> events.TrialEnded:
    failure = None if status is TrialStatus.COMPLETED else BROKEN
    return events.TrialEnded(
        trial_id=str(index),
        status=status,
        values=dict(values),
        score=score,
        best_step=4,
        metrics={} if score is None else {"loss": score, "acc": 0.5},
        failure=failure,
    )


def test_a_created_trial_has_the_space_and_its_values() -> None:
    """It is unfinished, and its configuration is taken."""
    state = replay(grew(), created(a=3))

    trial = state.trials["0"]
    assert (trial.status, trial.values, trial.stream) == (TrialStatus.RUNNING, {"a": 3}, 0)
    assert [hp.name for hp in trial.hyperparameters.space] == ["a"]
    assert list(state.unfinished) == [0]
    assert state.contains({"a": 3})
    assert not state.contains({"a": 4})


def test_a_completed_trial_has_its_result() -> None:
    """Score, step, metrics with the right direction; an earlier failure's message is gone."""
    state = replay(grew(), created(a=3), started(), retried(), started(attempt=2), ended(a=3))

    trial = state.trials["0"]
    assert (trial.score, trial.best_step, trial.message) == (1.0, 4, None)
    assert (trial.attempts, trial.failures, trial.devices) == (2, 1, ["GPU-1"])
    assert trial.metrics.get_best_value("acc") == 0.5
    assert trial.metrics.get_direction("loss") == "min"
    assert state.tried[0].score == 1.0
    assert (list(state.unfinished), dict(state.queue), state.open_attempts) == ([], {}, {})


def test_the_objectives_direction_is_that_of_its_metric() -> None:
    """Also of a metric whose name says nothing, or the opposite."""
    state = replay(created(), ended(), direction="max")

    assert state.trials["0"].metrics.get_direction("loss") == "max"


def test_values_found_while_it_ran_are_taken_as_well() -> None:
    """The proposal stays taken: a draw's collision must not depend on what has ended."""
    state = replay(grew("a"), created(a=3), grew("b"), ended(a=3, b=7))

    assert state.contains({"a": 3})
    assert state.contains({"a": 3, "b": 7})
    assert state.tried[0].values == {"a": 3, "b": 7}
    assert state.trials["0"].values == {"a": 3, "b": 7}


def test_a_retry_queues_the_trial_without_what_the_failed_attempt_measured() -> None:
    """NaN of the first attempt must not spoil the second."""
    told = events.MetricsReported(trial_id="0", attempt=0, step=1, metrics={"loss": math.nan})
    state = replay(created(), told, stopped(TrialStatus.INVALID), retried())

    trial = state.trials["0"]
    assert trial.status is TrialStatus.QUEUED
    assert list(state.queue) == ["0"]
    assert (trial.metrics.metrics, trial.history, trial.score) == ({}, [], None)
    assert (trial.failure, trial.message) == (BROKEN, "tb")


def test_a_trial_that_runs_again_knows_what_was_discovered_meanwhile() -> None:
    """Its own idea of a hyperparameter's range must not contradict the space's."""
    state = replay(grew("a"), created(a=1), grew("b"), retried())

    assert [hp.name for hp in state.trials["0"].hyperparameters.space] == ["a", "b"]
    assert state.trials["0"].values == {"a": 1}


def test_telemetry_is_history_and_a_callers_reports_are_metrics_too() -> None:
    """Reports of workers (attempt 1) are curves alone: the result comes with the end."""
    by_worker = events.MetricsReported(
        trial_id="0", attempt=1, step=2, metrics={"loss": 3.0}, execution=1
    )
    by_caller = events.MetricsReported(trial_id="1", attempt=0, step=2, metrics={"loss": 3.0})
    state = replay(created(0), created(1), by_worker, by_caller)

    assert state.trials["0"].history == [(1, 2, {"loss": 3.0})]
    assert not state.trials["0"].metrics.exists("loss")
    assert state.trials["1"].metrics.get_best_value("loss") == 3.0


def test_an_open_attempt_is_known_until_it_ends() -> None:
    """What is open at the end of a journal was lost with the tuner."""
    open_one = replay(created(), started())
    cancelled = replay(created(), started(), stopped(TrialStatus.CANCELLED))

    assert open_one.open_attempts == {"0": started()}
    assert cancelled.open_attempts == {}
    assert cancelled.trials["0"].status is TrialStatus.CANCELLED


def test_the_queue_keeps_the_order_in_which_trials_were_put_back() -> None:
    """One that was handed out and failed again goes to the end, in a replay too."""
    state = replay(created(0), created(1), retried(0), retried(1), retried(0, failures=2))

    assert list(state.queue) == ["1", "0"]


def test_a_queued_trial_that_started_or_ended_had_been_handed_out() -> None:
    """Handing out is no fact of its own; what follows it tells."""
    running = replay(created(0), retried(0), started(0, attempt=2))
    asked_and_told = replay(created(0), retried(0), ended(0))

    assert list(running.queue) == []
    assert asked_and_told.trials["0"].status is TrialStatus.COMPLETED
    assert list(asked_and_told.queue) == []


@pytest.mark.parametrize(("direction", "best"), [("min", "1"), ("max", "2")])
def test_best_is_the_best_completed_trial(direction: str, best: str) -> None:
    """The first of equals; failed ones never."""
    scores = [2.0, 1.0, 3.0, 1.0, 3.0]
    facts: list[events.Event] = []
    for index, score in enumerate(scores):
        facts += [created(index), ended(index, score=score)]
    facts += [created(5), ended(5, TrialStatus.FAILED, None)]

    state = replay(*facts, direction=direction)

    assert state.best is state.trials[best]


def test_consecutive_failures_are_those_since_a_success_or_the_start() -> None:
    """A rejected model is neither a failure nor a success; a new search counts anew."""
    fail = TrialStatus.FAILED
    counts = []
    state = replay()
    for index, status in enumerate(
        [fail, fail, TrialStatus.REJECTED, fail, TrialStatus.COMPLETED, fail]
    ):
        state.apply(created(index))
        state.apply(ended(index, status, 1.0 if status is TrialStatus.COMPLETED else None))
        counts.append(state.consecutive_failures)
    state.apply(search_started(seed=1))

    assert counts == [1, 2, 2, 3, 0, 1]
    assert state.consecutive_failures == 0


def search_started(seed: int) -> events.SearchStarted:
    return events.SearchStarted(
        oracle="Oracle", objective=[{"name": "loss", "direction": "min"}], seed=seed, max_trials=9
    )


def test_the_journals_seed_is_the_seed() -> None:
    """A project goes on with the seed it began with."""
    assert replay().seed == 1
    assert replay(search_started(seed=77)).seed == 77


def test_version_grows_with_all_but_new_trials_and_telemetry() -> None:
    """A searcher's cache is valid as long as it stands still."""
    state = replay()
    versions = []
    facts: list[events.Event] = [
        grew(),
        created(),
        started(),
        events.MetricsReported(trial_id="0", attempt=1, step=0, metrics={}),
        retried(),
        ended(),
    ]
    for fact in facts:
        state.apply(fact)
        versions.append(state.version)

    assert versions == [1, 1, 1, 1, 2, 3]


def test_a_frozen_history_stands_still() -> None:
    """Another thread reads it while trials go on."""
    state = replay(grew(), created(0, a=1))
    frozen = state.frozen()
    for fact in (created(1, a=2), ended(0, a=1), grew("b")):
        state.apply(fact)

    assert [t.status for t in frozen.tried] == [TrialStatus.RUNNING]
    assert (list(frozen.unfinished), frozen.version, frozen.seed) == ([0], 1, 1)
    assert [hp.name for hp in frozen.space.space] == ["a"]
    assert frozen.minimize
    assert frozen.contains({"a": 1})


@pytest.mark.parametrize(
    "facts",
    [
        [started()],
        [ended()],
        [created(1)],
        [created(0), created(0)],
        [created(0), ended(0), ended(0)],
        [created(0), ended(0), started(0)],
        [created(0), ended(0), retried(0)],
        [events.MetricsReported(trial_id="0", attempt=0, step=0, metrics={})],
    ],
)
def test_facts_that_contradict_are_damage(facts: list[events.Event]) -> None:
    """The message names the trial and says what to do."""
    with pytest.raises(JournalCorrupt, match="It was edited, or written by another program"):
        replay(*facts)


def test_facts_for_people_change_nothing() -> None:
    """Who opened and closed the project, and when, decides nothing."""
    before = replay(created())
    after = replay(
        created(),
        events.ProjectOpened(pid=1, host="h", opened=0.0, version="0"),
        events.SearchEnded(reason="done"),
        events.ProjectClosed(),
    )

    assert digest(after) == digest(before)


def digest(state: ProjectState) -> dict[str, Any]:
    return {
        "trials": [
            (t.get_state(), t.attempts, t.failures, t.lost, t.history)
            for t in state.trials.values()
        ],
        "space": state.space.get_config(),
        "tried": list(state.tried),
        "queue": list(state.queue),
        "best": state.best.trial_id if state.best else None,
        "rest": (state.version, list(state.unfinished), state.consecutive_failures, state.seed),
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_journal_replays_to_the_state_at_the_cut(seed: int) -> None:
    """The state after any prefix is what it was when those facts had happened."""
    facts = random_facts(random.Random(seed), 120)
    live = replay()
    digests = []
    for fact in facts:
        live.apply(fact)
        digests.append(digest(live))

    for length in range(1, len(facts) + 1, 7):
        assert digest(replay(*facts[:length])) == digests[length - 1]


def random_facts(chance: random.Random, count: int) -> list[events.Event]:
    """Return the facts of a search of trials that succeed, fail, are retried and lost."""
    facts: list[events.Event] = [grew()]
    attempts: dict[int, int] = {}
    while len(facts) < count:
        index = chance.choice([*attempts, len(attempts)])
        if index == len(attempts):
            attempts[index] = 0
            facts.append(created(index, a=chance.randint(1, 9)))
        if attempts[index] < 0:
            continue
        attempts[index] += 1
        facts.append(started(index, attempts[index]))
        match chance.choice(["complete", "fail", "retry", "lose"]):
            case "complete":
                facts += [stopped(TrialStatus.COMPLETED, index), ended(index, a=1)]
                attempts[index] = -1
            case "fail":
                facts += [
                    stopped(TrialStatus.INVALID, index),
                    ended(index, TrialStatus.FAILED, None),
                ]
                attempts[index] = -1
            case "retry":
                facts += [stopped(TrialStatus.INVALID, index), retried(index)]
            case _:
                facts.append(
                    events.TrialRequeued(
                        trial_id=str(index), reason="lost", lost=chance.randint(1, 4)
                    )
                )
    return facts


def test_an_event_costs_the_same_after_many_trials(request: pytest.FixtureRequest) -> None:
    """The last 2,000 of 12,000 trials take about as long as the second 2,000."""
    state = replay(grew(high=10**9))
    spent = []
    gc.collect()
    gc.disable()  # a full collection costs what the whole test run has made
    request.addfinalizer(gc.enable)
    for block in range(6):
        began = time.process_time()
        for index in range(block * 2000, (block + 1) * 2000):
            for fact in (created(index, a=index), started(index), retried(index), ended(index)):
                state.apply(fact)
        spent.append(time.process_time() - began)

    assert len(state.trials) == 12_000
    assert min(spent[-2:]) < 3 * max(spent[1:3]) + 0.1
