"""What an oracle decides, without an oracle."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aiotune import events
from aiotune.errors import ConfigurationError, FatalValueError
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import Rung
from aiotune.objective import MultiObjective, Objective
from aiotune.oracles import _core, _said
from aiotune.searchers import Exhausted, Proposal, SearcherDecision, Wait
from aiotune.status import TrialStatus
from aiotune.trial import Trial

LOSS = Objective("loss", "min")


def trial_with(
    status: TrialStatus = TrialStatus.RUNNING,
    *,
    score: float | None = None,
    kind: FailureKind | None = None,
    failures: int = 0,
) -> Trial:
    trial = Trial(HyperParameters(), "3", status)
    trial.score, trial.failures, trial.attempts = score, failures, failures + 1
    trial.failure = None if kind is None else TrialFailure(kind=kind, message="broken")
    return trial


# ── arguments ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "2", None])
def test_retries_are_a_whole_number(wrong: Any) -> None:
    """The message shows what was given."""
    with pytest.raises(ConfigurationError, match="max_retries_per_trial must be a whole number"):
        _core.RetryPolicy(max_retries=wrong)


@pytest.mark.parametrize("wrong", [0, -3, 1.0, False])
def test_limit_of_failures_is_positive_or_none(wrong: Any) -> None:
    """0, which in KerasTuner ends a search after a success, is refused."""
    assert _core.RetryPolicy(max_consecutive=None).max_consecutive is None
    with pytest.raises(ConfigurationError, match="max_consecutive_failed_trials must be"):
        _core.RetryPolicy(max_consecutive=wrong)


@pytest.mark.parametrize(
    ("limits", "name"), [((0, None), "max_trials"), ((1.5, None), "max_trials"), ((1, "x"), "seed")]
)
def test_budget_and_seed_are_whole_numbers(limits: tuple[Any, Any], name: str) -> None:
    """The message names the argument; a seed of 0 is one."""
    assert _core.checked_limits(None, 0) == (None, 0)
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number"):
        _core.checked_limits(*limits)


@pytest.mark.parametrize(
    ("index", "budget", "expected"),
    [(0, 10, "00"), (3, 100, "003"), (0, None, "0000"), (12345, None, "12345"), (7, 5, "7")],
)
def test_trial_ids_are_padded_to_the_budgets_width(
    index: int, budget: int | None, expected: str
) -> None:
    """They sort by age as text, up to the budget."""
    assert _core.trial_id_of(index, budget) == expected


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (Wait(), Wait()),
        ({"status": "RUNNING", "values": {"a": 1}}, Proposal({"a": 1})),
        ({"status": TrialStatus.RUNNING}, Proposal({})),
        ({"status": "IDLE"}, Wait()),
        ({"status": "STOPPED", "values": None}, Exhausted()),
    ],
)
def test_both_forms_of_a_proposal_are_understood(answer: Any, decision: SearcherDecision) -> None:
    """Ours, and KerasTuner's dict."""
    assert _said.decision_of(answer) == decision


@pytest.mark.parametrize("answer", [None, {"status": "DONE"}, {"values": {}}, 3])
def test_another_answer_ends_the_search(answer: Any) -> None:
    """Asking again would not help, so it is fatal, and the message shows the answer."""
    with pytest.raises(FatalValueError, match=r"populate_space\(\) must return"):
        _said.decision_of(answer)


# ── scores ─────────────────────────────────────────────────────────────────


def test_score_is_the_best_value_and_its_step() -> None:
    """NaN epochs do not count while there is a number."""
    trial = trial_with()
    for step, value in enumerate([math.nan, 3.0, 2.0, 5.0]):
        trial.metrics.update("loss", value, step)

    assert _core.score_of(trial, LOSS) == (2.0, 2)
    assert _core.score_of(trial_with(), LOSS) == (None, 0)


def test_score_of_several_objectives_is_their_best_sum_at_one_step() -> None:
    """Not the sum of bests that never came together."""
    objective = MultiObjective([Objective("a", "min"), Objective("b", "max")])
    trial = trial_with()
    for step, (a, b) in enumerate([(1.0, 0.0), (3.0, 4.0), (0.0, math.nan)]):
        trial.metrics.update("a", a, step)
        trial.metrics.update("b", b, step)
    trial.metrics.update("a", -9.0, 7)

    assert _core.score_of(trial, objective) == (-1.0, 1)
    assert _core.score_of(trial_with(), objective) == (None, 0)


def test_metrics_become_numbers_and_must_hold_the_objective() -> None:
    """The message lists what was expected and what was found."""
    assert _said.checked_metrics({"loss": 1, "n": True}, LOSS) == {"loss": 1.0, "n": 1.0}
    with pytest.raises(ConfigurationError, match=r"expected: \['loss'\], found: \['acc'\]"):
        _said.checked_metrics({"acc": 1.0}, LOSS)


# ── the end of an attempt ──────────────────────────────────────────────────


@pytest.mark.parametrize("status", [TrialStatus.RUNNING, TrialStatus.COMPLETED])
def test_a_finite_score_completes_the_trial(status: TrialStatus) -> None:
    """With the metrics of its best step, not those of its last."""
    trial = trial_with(status, score=0.5)
    trial.best_step = 1
    trial.executions = [{"loss": 0.5}]
    for step, value in enumerate([0.7, 0.5, 0.9]):
        trial.metrics.update("loss", value, step)

    event = _core.conclude(trial, _core.RetryPolicy(), at=7.0)

    assert event == events.TrialEnded(
        trial_id="3",
        status=TrialStatus.COMPLETED,
        values={},
        score=0.5,
        best_step=1,
        metrics={"loss": 0.5},
        executions=[{"loss": 0.5}],
        at=7.0,
    )


@pytest.mark.parametrize(
    ("score", "kind"),
    [
        (None, FailureKind.ERROR),
        (math.nan, FailureKind.NOT_FINITE),
        (math.inf, FailureKind.NOT_FINITE),
        (-math.inf, FailureKind.NOT_FINITE),
    ],
)
def test_a_score_that_cannot_be_compared_is_a_failure(
    score: float | None, kind: FailureKind
) -> None:
    """It is retried while retries are left, then FAILED without a score."""
    trial = trial_with(TrialStatus.COMPLETED, score=score)

    again = _core.conclude(trial, _core.RetryPolicy(max_retries=1), at=0.0)
    final = _core.conclude(trial, _core.RetryPolicy(max_retries=0), at=0.0)

    assert isinstance(again, events.RetryScheduled)
    assert (again.failure.kind, again.failures, again.retries_left) == (kind, 1, 0)
    assert isinstance(final, events.TrialEnded)
    assert (final.status, final.score) == (TrialStatus.FAILED, None)


@pytest.mark.parametrize(
    "kind", set(FailureKind) - {FailureKind.OUT_OF_MEMORY, FailureKind.TERMINATED}, ids=str
)
@pytest.mark.parametrize(("failures", "left"), [(0, True), (2, False)])
def test_the_kind_of_failure_decides_about_a_retry(
    kind: FailureKind, failures: int, left: bool
) -> None:
    """With two retries: some kinds use one up, some none, and some are final."""
    trial = trial_with(TrialStatus.INVALID, kind=kind, failures=failures)

    event = _core.conclude(trial, _core.RetryPolicy(max_retries=2), at=0.0)

    expected = kind.may_be_retried and (left or not kind.uses_up_a_retry)
    assert isinstance(event, events.RetryScheduled) is expected
    if isinstance(event, events.RetryScheduled):
        assert event.failures == failures + kind.uses_up_a_retry
        assert event.next_attempt == trial.attempts + 1


@pytest.mark.parametrize("lost", [0, 4, 5])
def test_who_is_ended_by_others_runs_again_but_not_for_ever(lost: int) -> None:
    """Without any retries five times; the sixth time it is the trial's own doing."""
    trial = trial_with(TrialStatus.INVALID, kind=FailureKind.TERMINATED)
    trial.lost = lost

    event = _core.conclude(trial, _core.RetryPolicy(max_retries=0, max_lost=5), at=0.0)

    if lost < 5:
        again = events.TrialRequeued(trial_id=trial.trial_id, reason="terminated", lost=lost + 1)
        assert event == again
    else:
        assert isinstance(event, events.TrialEnded)
        assert event.status is TrialStatus.FAILED


def test_running_out_of_memory_is_answered_with_memory_not_with_a_retry() -> None:
    """The next rung is scheduled whatever retries are left; without one the trial cannot run here."""
    trial = trial_with(TrialStatus.INVALID, kind=FailureKind.OUT_OF_MEMORY, failures=2)
    trial.rung = Rung(7, alone=True)

    again = _core.conclude(trial, _core.RetryPolicy(max_retries=2), at=0.0)
    trial.rung = None
    final = _core.conclude(trial, _core.RetryPolicy(max_retries=9), at=0.0)

    assert isinstance(again, events.RetryScheduled)
    assert (again.reservation, again.alone, again.failures) == (7, True, 2)
    assert isinstance(final, events.TrialEnded)
    assert final.status is TrialStatus.REJECTED


@pytest.mark.parametrize("status", [TrialStatus.FAILED, TrialStatus.REJECTED])
def test_a_final_status_is_not_retried(status: TrialStatus) -> None:
    """Whatever is left: the trial's code said so."""
    trial = trial_with(status)
    trial.message = "no"

    event = _core.conclude(trial, _core.RetryPolicy(max_retries=9), at=0.0)

    assert isinstance(event, events.TrialEnded)
    assert event.status is status
    assert event.failure == TrialFailure(kind=FailureKind.ERROR, message="no")


def test_a_cancelled_trial_goes_back_to_the_queue() -> None:
    """It did nothing wrong."""
    event = _core.conclude(trial_with(TrialStatus.CANCELLED), _core.RetryPolicy(), at=0.0)

    assert event == events.TrialRequeued(trial_id="3", reason="cancelled")


@pytest.mark.parametrize("status", [TrialStatus.QUEUED, TrialStatus.PROBING, TrialStatus.STOPPED])
def test_a_trial_that_does_not_run_cannot_end(status: TrialStatus) -> None:
    """The message says which trial and what to do."""
    with pytest.raises(ConfigurationError, match=f"Trial 3 is {status}"):
        _core.conclude(trial_with(status), _core.RetryPolicy(), at=0.0)


def test_the_log_is_told_of_a_retry() -> None:
    """Who asks and tells without attempts sees attempts counted by failures."""
    trial = trial_with(TrialStatus.INVALID, kind=FailureKind.OUT_OF_MEMORY)
    trial.attempts = 0
    event = _core.conclude(trial, _core.RetryPolicy(max_retries=2), at=0.0)
    assert isinstance(event, events.RetryScheduled)

    assert _core.told_of_retry(trial, event) == {
        "trial": "3",
        "attempt": 1,
        "attempts_left": 2,
        "failure_kind": "out_of_memory",
        "error_type": "out_of_memory",
        "error_message": "broken",
        "delay": 0.0,
        "device": "cpu",
        "next_reservation": None,
        "alone": False,
        "batch_divisor": 1,
    }
