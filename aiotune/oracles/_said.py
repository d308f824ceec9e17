"""What callers and subclasses say to an oracle: understood, or refused in a sentence."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from aiotune._printable import shown
from aiotune._values import Value
from aiotune.errors import ConfigurationError, FatalValueError, WrongType
from aiotune.hyperparameters._checks import check_portable, checked_name
from aiotune.metrics import checked_report, checked_value
from aiotune.objective import Objective
from aiotune.searchers import Exhausted, Proposal, SearcherDecision, Wait
from aiotune.status import TRANSITIONS, TrialStatus
from aiotune.trial import Trial

__all__ = ("checked_metrics", "decision_of", "id_of", "scored", "settled", "take_status")


def decision_of(answer: SearcherDecision | Mapping[str, Any]) -> SearcherDecision:
    """Understand what ``populate_space`` or a searcher returned, in our form or in KerasTuner's.

    Raises:
        FatalValueError: It is neither, or proposes what cannot be a value.
    """
    match answer:
        case Wait() | Exhausted():
            return answer
        case Proposal(values=values):
            _check_values(values)
            return answer
        case {"status": TrialStatus.RUNNING | "RUNNING"}:
            values = answer.get("values") or {}
            _check_values(values)
            return Proposal(dict(values))
        case {"status": TrialStatus.IDLE | "IDLE"}:
            return Wait()
        case {"status": TrialStatus.STOPPED | "STOPPED"}:
            return Exhausted()
        case _:
            raise FatalValueError(
                "populate_space() must return a Proposal, Wait() or Exhausted(), or a dict with 'status' "
                f"'RUNNING' (and 'values'), 'IDLE' or 'STOPPED'; it returned {shown(answer)}."
            )


def _check_values(values: Any) -> None:
    if not isinstance(values, Mapping):
        raise FatalValueError(
            f"The algorithm proposed the values {shown(values)} of type {type(values).__name__}. Propose a "
            "dict of values by the names of hyperparameters."
        )
    for name, value in values.items():
        plain = isinstance(value, (int, float, str))
        if not plain or (isinstance(value, float) and not math.isfinite(value)):
            raise FatalValueError(
                f"The algorithm proposed {shown(value)} of type {type(value).__name__} for the "
                f"hyperparameter {shown(name)}. Propose an int, float, str or bool, and finite."
            )
        _check_portable(name, value)


def _check_portable(name: Any, value: Value) -> None:
    try:
        if not isinstance(name, str):
            raise ConfigurationError(f"The name is of type {type(name).__name__}. Use text.")  # noqa: TRY301 - told below, as what is found deeper
        checked_name("", name)
        check_portable("It has", value)
    except ConfigurationError as error:
        raise FatalValueError(
            f"The algorithm proposed, for the hyperparameter {shown(name)}, what no journal can hold. {error}"
        ) from None


def checked_metrics(
    metrics: Mapping[str, Any], objective: Objective, step: int = 0
) -> dict[str, float]:
    """Return reported metrics as numbers.

    Raises:
        ConfigurationError: The objective, or a member of it, is missing; or the step is
            no whole number >= 0.
        WrongType: They are no dict of numbers; that is a ``TypeError``.
    """
    numbers = checked_report(metrics, step)
    if not objective.has_value(numbers):
        raise ConfigurationError(
            "Objective value missing in metrics reported to the Oracle, expected: "
            f"{list(objective.names)}, found: {shown(sorted(map(str, metrics)), 200)}. Report it with the "
            "others."
        )
    return numbers


def id_of(trial: Trial | str) -> str:
    """Return a trial's id.

    Raises:
        WrongType: It is neither a trial nor an id; that is a ``TypeError``.
    """
    if isinstance(trial, str):
        return trial
    if not isinstance(trial, Trial):
        raise WrongType(
            f"{shown(trial)} of type {type(trial).__name__} is no trial. Pass a Trial, or the text in "
            "trial.trial_id."
        )
    return trial.trial_id


def _status_of(status: TrialStatus | str | None) -> TrialStatus:
    """Return how a trial is said to have ended; COMPLETED where nothing is said.

    Raises:
        ConfigurationError: There is no such status.
    """
    try:
        return TrialStatus(status or TrialStatus.COMPLETED)
    except ValueError:
        raise ConfigurationError(
            f"{shown(status)} is not a status. End a trial as COMPLETED, INVALID or FAILED."
        ) from None


def take_status(stored: Trial, said: TrialStatus | str | None) -> None:
    """Set how a trial ended, as a caller says; COMPLETED where nothing is said.

    Raises:
        ConfigurationError: There is no such status, or the trial cannot have ended so, since
            nobody has it now.
    """
    status = _status_of(said)
    if status is not stored.status and status not in TRANSITIONS[stored.status]:
        raise ConfigurationError(
            f"Trial {stored.trial_id} is {stored.status}, so it cannot end as {status}: its earlier run "
            "was given up, and it is to run again. Ask create_trial() for it, or end it as FAILED."
        )
    stored.status = status


async def settled(result: Any) -> Any:
    """Await what an override returned, if it is a coroutine."""
    return await result if inspect.isawaitable(result) else result


async def scored(score_trial: Callable[[Trial], Any], trial: Trial) -> None:
    """Have a trial scored, by an override it may be, in numbers that the journal can hold.

    Raises:
        WrongType: The score or the step is set to something else; that is a ``TypeError``.
    """
    await settled(score_trial(trial))
    score: Any = trial.score
    step: Any = 0 if trial.best_step is None else trial.best_step
    try:
        trial.score = None if score is None else checked_value("score", score)
        trial.best_step = int(operator.index(step))
    except TypeError:
        raise WrongType(
            f"{score_trial.__qualname__}() set the score {shown(score, 40)} of type {type(score).__name__} and "
            f"the best step {shown(step, 40)} of type {type(step).__name__} of trial {trial.trial_id}. Set a "
            "score that fits into a float, or None, and a whole number."
        ) from None
