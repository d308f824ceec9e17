"""What an oracle decides: pure functions from state to events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, assert_never

from aiotune import events
from aiotune._arguments import check_plugin, check_whole
from aiotune.errors import ConfigurationError, SpaceChanged
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import (
    Boolean,
    Fixed,
    Float,
    HyperParameter,
    HyperParameters,
    Int,
    serialize,
)
from aiotune.objective import MultiObjective, Objective
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = (
    "RetryPolicy",
    "check_plugins",
    "check_space",
    "checked_limits",
    "conclude",
    "grew",
    "interrupted",
    "score_of",
    "stopped",
    "take_up",
    "told_of_retry",
    "trial_id_of",
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How failures are treated.

    Attributes:
        max_retries: Runs after the first one, per trial.
        max_consecutive: FAILED trials in a row that end the search; ``None``: no limit.
        max_lost: How often a trial may be lost with the tuner, or its worker be ended by others alone,
            before it counts as failed.
        max_rejected: Trials in a row that cannot run here that end the search.

    Raises:
        ConfigurationError: A number is negative, or the limit is 0.
    """

    max_retries: int = 0
    max_consecutive: int | None = 3
    max_lost: int = 5
    max_rejected: int = 100

    def __post_init__(self) -> None:
        retries = check_whole("max_retries_per_trial", self.max_retries, 0)
        object.__setattr__(self, "max_retries", retries)
        if (limit := self.max_consecutive) is not None:
            name = "max_consecutive_failed_trials"
            limit = check_whole(name, limit, 1, also="None for no limit")
            object.__setattr__(self, "max_consecutive", limit)


def checked_limits(max_trials: int | None, seed: int | None) -> tuple[int | None, int | None]:
    """Return a budget and a seed as Python's own numbers.

    Raises:
        ConfigurationError: ``max_trials`` is no whole number >= 1, or ``seed`` none at all.
    """
    if max_trials is not None:
        max_trials = check_whole("max_trials", max_trials, 1, also="None for no limit")
    if seed is not None:
        seed = check_whole("seed", seed, also="None")
    return max_trials, seed


def check_plugins(searcher: object, pruner: object) -> None:
    """Refuse a searcher or a pruner that is none.

    Raises:
        WrongType: It is none.
    """
    check_plugin("searcher", searcher, "propose", "aiotune.searchers")
    check_plugin("pruner", pruner, "judge", "aiotune.pruners")


def trial_id_of(index: int, max_trials: int | None) -> str:
    """Return a trial's id: its index with leading zeros to the width of the budget (4 without)."""
    width = 4 if max_trials is None else len(str(max_trials))
    return f"{index:0{width}d}"


def stopped() -> Trial:
    """Return what stands for a trial where nothing is left to run."""
    return Trial(HyperParameters(), trial_id="", status=TrialStatus.STOPPED)


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

    Raises:
        ConfigurationError: The status is none that an attempt can end with.
    """
    match trial.status:
        case TrialStatus.RUNNING | TrialStatus.COMPLETED:
            failure = _unusable_score(trial)
            if failure is None:
                return _ended(trial, TrialStatus.COMPLETED, None, at)
            return _retry(trial, failure, policy) or _ended(trial, TrialStatus.FAILED, failure, at)
        case TrialStatus.INVALID:
            failure = _told(trial)
            if failure.kind is FailureKind.TERMINATED:
                return _lost(trial, failure, policy, at)
            final = TrialStatus.REJECTED if _by_ladder(trial, failure) else TrialStatus.FAILED
            return _retry(trial, failure, policy) or _ended(trial, final, failure, at)
        case TrialStatus.FAILED | TrialStatus.REJECTED:
            return _ended(trial, trial.status, _told(trial), at)
        case TrialStatus.CANCELLED:
            return events.TrialRequeued(
                trial_id=trial.trial_id, reason="cancelled", lost=trial.lost
            )
        case TrialStatus.QUEUED | TrialStatus.PROBING | TrialStatus.IDLE | TrialStatus.STOPPED:
            raise ConfigurationError(
                f"Trial {trial.trial_id} is {trial.status}, so there is nothing of it to end. End a trial "
                "that create_trial() has returned, once, with the status COMPLETED, INVALID or FAILED."
            )
        case _:
            assert_never(trial.status)


def _told(trial: Trial) -> TrialFailure:
    """Return the failure; one made from the message, if a caller of ask and tell gave only that."""
    if trial.failure is not None:
        return trial.failure
    return TrialFailure(kind=FailureKind.ERROR, message=str(trial.message or ""))


def _retry(
    trial: Trial, failure: TrialFailure, policy: RetryPolicy
) -> events.RetryScheduled | None:
    if _by_ladder(trial, failure):
        return _with_more_memory(trial, failure, policy)
    failures = trial.failures + (1 if failure.kind.uses_up_a_retry else 0)
    if not failure.kind.may_be_retried or failures > policy.max_retries:
        return None
    return events.RetryScheduled(
        trial_id=trial.trial_id,
        # A caller of ask and tell starts no attempts: there the failures count.
        next_attempt=max(trial.attempts, failures) + 1,
        failures=failures,
        retries_left=policy.max_retries - failures,
        failure=failure,
    )


def _lost(
    trial: Trial, failure: TrialFailure, policy: RetryPolicy, at: float
) -> events.TrialRequeued | events.TrialEnded:
    """Run a trial again that others have ended, unless that happens to it alone again and again."""
    lost = trial.lost + 1
    if lost > policy.max_lost:
        return _ended(trial, TrialStatus.FAILED, failure, at)
    return events.TrialRequeued(trial_id=trial.trial_id, reason="terminated", lost=lost)


def _by_ladder(trial: Trial, failure: TrialFailure) -> bool:
    """Whether the answer to a failure is more memory, which a scheduler has decided on."""
    return failure.kind is FailureKind.OUT_OF_MEMORY and trial.attempts > 0


def _with_more_memory(
    trial: Trial, failure: TrialFailure, policy: RetryPolicy
) -> events.RetryScheduled | None:
    rung = trial.rung
    if rung is None:
        return None
    return events.RetryScheduled(
        trial_id=trial.trial_id,
        next_attempt=trial.attempts + 1,
        failures=trial.failures,
        retries_left=policy.max_retries - trial.failures,
        failure=failure,
        reservation=rung.bytes,
        alone=rung.alone,
        batch_divisor=trial.batch_divisor,
    )


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
        metrics=trial.metrics.at(trial.best_step) if done else {},
        executions=trial.executions if done else [],
        failure=failure,
        files=dict(trial.files) if done else {},
        at=at,
    )


def told_of_retry(trial: Trial, event: events.RetryScheduled) -> dict[str, Any]:
    """Return the fields of the log's event about a retry."""
    failure = event.failure
    return {
        "trial": trial.trial_id,
        "attempt": event.next_attempt - 1,
        "attempts_left": event.retries_left + 1,
        "failure_kind": failure.kind.value,
        "error_type": failure.type or failure.kind.value,
        "error_message": failure.message,
        "delay": event.delay,
        "device": trial.devices[0] if trial.devices else "cpu",
        "next_reservation": event.reservation,
        "alone": event.alone,
        "batch_divisor": event.batch_divisor,
    }


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


def check_space(known: HyperParameters, hp: HyperParameters, state: ProjectState) -> None:
    """Refuse to continue a project whose hyperparameters had other ranges.

    Args:
        known: The space that the project was searched with.
        hp: The space that the program asks for.
        state: The project's, to say how many trials would be lost by starting afresh.

    Raises:
        SpaceChanged: A hyperparameter with the same name and conditions differs.
    """
    finished = len(state.trials) - len(state.unfinished)
    for entry in hp.space:
        before = known.known(entry)
        if before is not None and before != entry:
            old, new = _range_of(before), _range_of(entry)
            if old == new:
                old, new = repr(before), repr(entry)
            raise SpaceChanged(
                f"This project was searched with {entry.name!r} {old}; this program says {new}.",
                hint="Use another project_name, or pass overwrite=True to discard "
                f"{finished} finished trials.",
                name=entry.name,
            )


def _range_of(hp: HyperParameter) -> str:
    match hp:
        case Int() | Float():
            step = "" if hp.step is None else f" in steps of {hp.step}"
            scale = "" if hp.sampling == "linear" else f", {hp.sampling}"
            return f"{hp.kind} from {hp.min_value} to {hp.max_value}{step}{scale}"
        case Fixed():
            return f"fixed at {hp.value!r}"
        case Boolean():
            return f"Boolean, by default {hp.default}"
        case _:
            return f"{hp.kind} among {list(hp.values)!r}, by default {hp.default!r}"


def grew(state: ProjectState, hp: HyperParameters) -> events.SpaceGrew | None:
    """Return the event that adds the hyperparameters the space does not have, if there are any."""
    new = [serialize(entry) for entry in hp.space if state.space.known(entry) is None]
    return events.SpaceGrew(entries=new) if new else None


def interrupted(state: ProjectState) -> list[tuple[Trial, str | None]]:
    """Return the trials whose last attempt may have left a result that is not recorded.

    Returns:
        Each with the id of its open attempt; ``None`` if the attempt's end was
        recorded as a success, and the tuner died before the trial's own.
    """
    found = []
    for trial in state.trials.values():
        if trial.attempts and trial.status is TrialStatus.RUNNING:
            started = state.open_attempts.get(trial.trial_id)
            found.append((trial, started.attempt_id if started is not None else None))
    return found
