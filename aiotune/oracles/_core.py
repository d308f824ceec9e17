"""What an oracle decides: pure functions from state to events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiotune import events
from aiotune.errors import ConfigurationError, FatalValueError, SpaceChanged
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters, serialize
from aiotune.objective import MultiObjective, Objective
from aiotune.searchers import Exhausted, Proposal, SearcherDecision, Wait
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = (
    "RetryPolicy",
    "check_search",
    "check_space",
    "conclude",
    "decision_of",
    "grew",
    "score_of",
    "take_up",
    "trial_id_of",
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How failures are treated.

    Attributes:
        max_retries: Runs after the first one, per trial.
        max_consecutive: FAILED trials in a row that end the search; ``None``: no limit.
        max_lost: How often a trial may be lost with the tuner before it counts as failed.

    Raises:
        ConfigurationError: A number is negative, or the limit is 0.
    """

    max_retries: int = 0
    max_consecutive: int | None = 3
    max_lost: int = 5

    def __post_init__(self) -> None:
        if not _is_whole(self.max_retries) or self.max_retries < 0:
            raise ConfigurationError(
                f"max_retries_per_trial must be a whole number >= 0, but is {self.max_retries!r}."
            )
        limit = self.max_consecutive
        if limit is not None and (not _is_whole(limit) or limit < 1):
            raise ConfigurationError(
                "max_consecutive_failed_trials must be a whole number >= 1, or None for no limit, but "
                f"is {limit!r}."
            )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def trial_id_of(index: int, max_trials: int | None) -> str:
    """Return a trial's id: its index with leading zeros to the width of the budget (4 without)."""
    width = 4 if max_trials is None else len(str(max_trials))
    return f"{index:0{width}d}"


def decision_of(answer: SearcherDecision | Mapping[str, Any]) -> SearcherDecision:
    """Understand what ``populate_space`` returned, in our form or in KerasTuner's.

    Raises:
        FatalValueError: It is neither.
    """
    if isinstance(answer, (Proposal, Wait, Exhausted)):
        return answer
    status = answer.get("status") if isinstance(answer, Mapping) else None
    if status == TrialStatus.RUNNING:
        return Proposal(dict(answer.get("values") or {}))
    if status == TrialStatus.IDLE:
        return Wait()
    if status == TrialStatus.STOPPED:
        return Exhausted()
    raise FatalValueError(
        "populate_space() must return a Proposal, Wait() or Exhausted(), or a dict with 'status' "
        f"'RUNNING' (and 'values'), 'IDLE' or 'STOPPED'; it returned {answer!r}."
    )


def score_of(trial: Trial, objective: Objective) -> tuple[float | None, int]:
    """Return the best objective among a trial's metrics and its step; ``(None, 0)`` if it has none."""
    if not isinstance(objective, MultiObjective):
        if not trial.metrics.exists(objective.name):
            return None, 0
        score = trial.metrics.get_best_value(objective.name)
        return score, trial.metrics.get_best_step(objective.name) or 0
    if not all(trial.metrics.exists(name) for name in objective.names):
        return None, 0
    steps: dict[int, dict[str, float]] = {}
    for name in objective.names:
        for observation in trial.metrics.get_history(name):
            steps.setdefault(observation.step, {})[name] = observation.mean()
    sums = {s: objective.get_value(m) for s, m in steps.items() if objective.has_value(m)}
    if not sums:
        return None, 0
    step = min(sums, key=lambda s: (math.isnan(sums[s]), sums[s]))
    return sums[step], step


def conclude(trial: Trial, policy: RetryPolicy, at: float) -> events.Event:
    """Decide what follows from the end of a trial's attempt: another one, or the trial's end.

    ``trial.status`` says how it went; ``trial.score`` is set if it completed.
    """
    status = trial.status
    failure = trial.failure
    if status in {TrialStatus.RUNNING, TrialStatus.COMPLETED}:
        failure = _unusable_score(trial)
        if failure is None:
            return _ended(trial, TrialStatus.COMPLETED, None, at)
        status = TrialStatus.INVALID
    if failure is None:
        failure = TrialFailure(kind=FailureKind.ERROR, message=trial.message or "")
    if status is TrialStatus.REJECTED:
        return _ended(trial, status, failure, at)
    counts = failure.kind.uses_up_a_retry
    failures = trial.failures + (1 if counts else 0)
    may = status is TrialStatus.INVALID and failure.kind.may_be_retried
    if may and failures <= policy.max_retries:
        return events.RetryScheduled(
            trial_id=trial.trial_id,
            next_attempt=trial.attempts + 1,
            failures=failures,
            retries_left=policy.max_retries - failures,
            failure=failure,
        )
    return _ended(trial, TrialStatus.FAILED, failure, at)


def _unusable_score(trial: Trial) -> TrialFailure | None:
    if trial.score is None:
        return TrialFailure(
            kind=FailureKind.ERROR, message="The trial ended without a value of the objective."
        )
    if not math.isfinite(trial.score):
        return TrialFailure(
            kind=FailureKind.NOT_FINITE,
            message=f"The objective is {trial.score}. The training diverged, or a metric divides by 0.",
        )
    return None


def _ended(
    trial: Trial, status: TrialStatus, failure: TrialFailure | None, at: float
) -> events.TrialEnded:
    done = status is TrialStatus.COMPLETED
    return events.TrialEnded(
        trial_id=trial.trial_id,
        status=status,
        values=dict(trial.hyperparameters.values),
        score=trial.score if done else None,
        best_step=trial.best_step,
        metrics=trial.metrics.latest() if done else {},
        executions=trial.executions if done else [],
        failure=failure,
        at=at,
    )


def take_up(state: ProjectState, policy: RetryPolicy, at: float) -> list[events.Event]:
    """Decide what becomes of unfinished trials when a project is opened: they run again.

    An attempt that was open when the tuner died was lost through no fault of
    its trial; but a trial that takes the tuner down every time must not do so
    for ever.
    """
    decided: list[events.Event] = []
    for trial in state.trials.values():
        if trial.status.is_final or trial.status is TrialStatus.QUEUED:
            continue
        lost = trial.lost + (1 if trial.trial_id in state.open_attempts else 0)
        if lost > policy.max_lost:
            failure = TrialFailure(
                kind=FailureKind.LOST,
                message=f"The tuner itself died during this trial {lost} times.",
            )
            decided.append(_ended(trial, TrialStatus.FAILED, failure, at))
        else:
            reason = "lost" if lost > trial.lost else str(trial.status).lower()
            decided.append(events.TrialRequeued(trial_id=trial.trial_id, reason=reason, lost=lost))
    return decided


def check_search(before: events.SearchStarted, now: events.SearchStarted) -> None:
    """Refuse to continue a project with another objective or another algorithm.

    Raises:
        SpaceChanged: They differ.
    """
    for what, old, new in (
        ("objective", before.objective, now.objective),
        ("algorithm", before.oracle, now.oracle),
    ):
        if old != new:
            raise SpaceChanged(
                f"This project was searched with the {what} {old!r}; this program says {new!r}.",
                hint="Use another project_name, or pass overwrite=True to discard the project.",
            )


def check_space(state: ProjectState, hp: HyperParameters) -> None:
    """Refuse to continue a project whose hyperparameters had other ranges.

    Raises:
        SpaceChanged: One with the same name and conditions differs.
    """
    finished = len(state.trials) - len(state.unfinished)
    for entry in hp.space:
        known = state.space.known(entry)
        if known is not None and known != entry and state.trials:
            raise SpaceChanged(
                f"This project was searched with {known!r}; this program says {entry!r}.",
                hint="Use another project_name, or pass overwrite=True to discard "
                f"{finished} finished trials.",
            )


def grew(state: ProjectState, hp: HyperParameters) -> events.SpaceGrew | None:
    """Return the event that adds the hyperparameters the space does not have, if there are any."""
    new = [serialize(entry) for entry in hp.space if state.space.known(entry) is None]
    return events.SpaceGrew(entries=new) if new else None
