"""Telling an oracle what became of its trials: results, failures, retries."""

from __future__ import annotations

import math
from typing import Any

import pytest
from structlog.testing import capture_logs

from aiotune.errors import ConfigurationError, SearchAborted
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.oracles import Oracle, RandomSearchOracle
from aiotune.status import TrialStatus
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


async def test_the_best_reported_step_scores_a_trial() -> None:
    """A trial that is ended while RUNNING is completed; others' metrics are kept with it."""
    oracle = oracle_with()
    trial = await oracle.create_trial("w")
    for step, loss in enumerate([0.5, 0.2, 0.9]):
        await oracle.update_trial(trial.trial_id, {"loss": loss, "acc": 1 - loss}, step=step)

    await oracle.end_trial(trial)

    assert (trial.status, trial.score, trial.best_step) == (TrialStatus.COMPLETED, 0.2, 1)
    assert trial.metrics.get_direction("acc") == "max"
    assert oracle.best_trial is trial
    assert oracle.ongoing_trials == {}


@pytest.mark.parametrize(("direction", "order"), [("min", [1, 2, 0]), ("max", [0, 2, 1])])
async def test_best_trials_are_completed_ones_best_first(direction: str, order: list[int]) -> None:
    """Failed and running ones are never among them, even if there are too few."""
    oracle = RandomSearchOracle(Objective("loss", direction), seed=0, hyperparameters=space())
    trials = [await oracle.create_trial(str(i)) for i in range(5)]
    for trial, loss in zip(trials, [3.0, 1.0, 2.0], strict=False):
        await finish(oracle, trial, loss)
    await fail(oracle, trials[3])

    assert oracle.get_best_trials(9) == [trials[i] for i in order]
    assert oracle.get_best_trials() == [trials[order[0]]]


async def test_metrics_without_the_objective_are_refused() -> None:
    """The message has what was expected and what was found."""
    oracle = oracle_with()
    trial = await oracle.create_trial("w")

    with pytest.raises(ValueError, match=r"expected: \['loss'\], found: \['acc'\]"):
        await oracle.update_trial(trial.trial_id, {"acc": 1.0})


async def test_a_trial_ends_once() -> None:
    """A second end, and late reports, are refused and change nothing."""
    oracle = oracle_with()
    trial = await oracle.create_trial("w")
    await finish(oracle, trial, 0.5)

    with pytest.raises(ConfigurationError, match="Trial 00 ended as COMPLETED already"):
        await oracle.end_trial(trial)
    with pytest.raises(ConfigurationError, match="Trial 00 ended as COMPLETED already"):
        await oracle.update_trial("00", {"loss": 0.1})
    assert trial.score == 0.5


async def test_a_trial_can_be_ended_by_its_id() -> None:
    """KerasTuner's old form; the values stay those of the trial."""
    oracle = oracle_with()
    trial = await oracle.create_trial("w")
    values = dict(trial.values)
    await oracle.update_trial("00", {"loss": 1.0})

    await oracle.end_trial("00", "COMPLETED")

    assert (trial.status, trial.values) == (TrialStatus.COMPLETED, values)


async def test_a_copy_of_a_trial_tells_the_oracles_own() -> None:
    """What travelled elsewhere and came back carries its status and message."""
    oracle = oracle_with(max_consecutive_failed_trials=None)
    trial = await oracle.create_trial("w")
    copy = Trial.from_state(trial.get_state())
    copy.status, copy.message = TrialStatus.FAILED, "no good"

    await oracle.end_trial(copy)

    assert oracle.get_trial("00") is trial
    assert (trial.status, trial.message) == (TrialStatus.FAILED, "no good")


async def test_an_unknown_trial_is_refused() -> None:
    """The message says how many there are."""
    with pytest.raises(KeyError, match="no trial '7'; there are 0"):
        oracle_with().get_trial("7")


# ── failures ───────────────────────────────────────────────────────────────


async def test_a_failed_trial_is_served_again_before_anything_new() -> None:
    """The same trial with the same values, to whoever asks next; one log event tells of it."""
    oracle = oracle_with(max_retries_per_trial=1)
    trial = await oracle.create_trial("w0")
    values = dict(trial.values)
    with capture_logs() as logged:
        await fail(oracle, trial)

    again = await oracle.create_trial("w1")

    assert again is trial
    assert (again.status, again.values) == (TrialStatus.RUNNING, values)
    assert oracle.ongoing_trials == {"w1": trial}
    assert [line["event"] for line in logged] == ["trial_retry"]
    assert (logged[0]["attempts_left"], logged[0]["error_type"]) == (1, "ValueError")


async def test_retries_are_used_up() -> None:
    """With two of them a trial fails three times and is then FAILED."""
    oracle = oracle_with(max_retries_per_trial=2)
    statuses = []
    for _ in range(3):
        trial = await oracle.create_trial("w")
        await fail(oracle, trial)
        statuses.append(trial.status)

    assert statuses == [TrialStatus.QUEUED, TrialStatus.QUEUED, TrialStatus.FAILED]
    assert len(oracle.trials) == 1


@pytest.mark.parametrize("claimed", [TrialStatus.RUNNING, TrialStatus.COMPLETED])
async def test_a_diverged_trial_can_succeed_when_it_is_retried(claimed: TrialStatus) -> None:
    """What the first attempt measured is forgotten, whatever status the caller had set."""
    oracle = oracle_with(max_retries_per_trial=1)
    trial = await oracle.create_trial("w")
    await oracle.update_trial(trial.trial_id, {"loss": math.nan})
    trial.status = claimed
    await oracle.end_trial(trial)
    diverged = trial.failure

    await finish(oracle, await oracle.create_trial("w"), 0.5)

    assert diverged is not None
    assert diverged.kind is FailureKind.NOT_FINITE
    assert (trial.status, trial.score, trial.message) == (TrialStatus.COMPLETED, 0.5, None)


async def test_too_many_failures_in_a_row_end_the_search_after_they_are_recorded() -> None:
    """The message has the limit and the last failure."""
    oracle = oracle_with(max_consecutive_failed_trials=2)
    await fail(oracle, await oracle.create_trial("w"))
    last = await oracle.create_trial("w")

    with pytest.raises(SearchAborted, match=r"exceeded the limit of 2\..*ValueError: broken"):
        await fail(oracle, last)

    assert last.status is TrialStatus.FAILED
    assert oracle.ongoing_trials == {}


async def test_a_success_starts_the_count_again() -> None:
    """Failures that are not in a row never end a search; without a limit none do."""
    oracle = oracle_with(20, max_consecutive_failed_trials=2)
    for _ in range(4):
        await fail(oracle, await oracle.create_trial("w"))
        await finish(oracle, await oracle.create_trial("w"))
    unlimited = oracle_with(20, max_consecutive_failed_trials=None)
    for _ in range(20):
        await fail(unlimited, await unlimited.create_trial("w"))

    assert {t.status for t in unlimited.trials.values()} == {TrialStatus.FAILED}


async def test_a_cancelled_trial_runs_again() -> None:
    """It uses up no retry."""
    oracle = oracle_with()
    trial = await oracle.create_trial("w")
    trial.status = TrialStatus.CANCELLED
    await oracle.end_trial(trial)

    again = await oracle.create_trial("w")

    assert again is trial
    assert (again.status, again.failures) == (TrialStatus.RUNNING, 0)


@pytest.mark.parametrize("status", [TrialStatus.FAILED, TrialStatus.REJECTED])
async def test_a_trial_that_waits_for_its_retry_can_be_given_up(status: TrialStatus) -> None:
    """It is not handed out any more; the next trial is another one."""
    oracle = oracle_with(max_retries_per_trial=2)
    trial = await oracle.create_trial("w")
    await oracle.end_trial(trial.trial_id, "INVALID")

    await oracle.end_trial(trial.trial_id, status)

    following = await oracle.create_trial("w")
    assert (trial.status, following.trial_id) == (status, "01")


async def test_a_trial_that_waits_for_its_retry_has_no_result() -> None:
    """Who was too late with it is told so, and how to have the trial again."""
    oracle = oracle_with(max_retries_per_trial=2)
    trial = await oracle.create_trial("w")
    await oracle.end_trial(trial.trial_id, "INVALID")

    with pytest.raises(ConfigurationError, match=r"Trial 00 is QUEUED.*create_trial\(\)"):
        await oracle.end_trial(trial.trial_id, "COMPLETED")

    again = await oracle.create_trial("w")
    assert again is trial
    await finish(oracle, again, 0.5)
    assert trial.score == 0.5


async def test_an_exception_as_a_message_is_its_text() -> None:
    """Who tells of a failure by the exception itself loses nothing."""
    oracle = oracle_with(max_consecutive_failed_trials=None)
    trial = await oracle.create_trial("w")
    trial.status, trial.message = TrialStatus.INVALID, ValueError("broken")  # type: ignore[assignment]

    await oracle.end_trial(trial)

    assert trial.failure is not None
    assert (trial.status, trial.failure.message) == (TrialStatus.FAILED, "broken")


@pytest.mark.parametrize("direction", ["min", "max"])
async def test_of_equally_good_trials_the_oldest_is_the_best_wherever_it_is_asked(
    direction: str,
) -> None:
    """Accuracies of a small test set are often equal, and who ends first is chance."""
    oracle = RandomSearchOracle(Objective("loss", direction), seed=0, hyperparameters=space())
    first, second = await oracle.create_trial("a"), await oracle.create_trial("b")

    await finish(oracle, second)
    await finish(oracle, first)

    assert oracle.best_trial is first
    assert oracle.get_best_trials() == [first]
