"""A project of KerasTuner as the facts that a journal of aiotune would hold of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiotune import events
from aiotune._values import Value
from aiotune.errors import ConfigurationError
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import (
    Boolean,
    Choice,
    Float,
    HyperParameter,
    HyperParameters,
    Int,
    deserialize,
    serialize,
)
from aiotune.migration._hyperband import CONTROL, Budgets
from aiotune.migration._read import OldProject, OldTrial
from aiotune.objective import Objective
from aiotune.status import TrialStatus

__all__ = ("Translated", "boolean_notes", "space_of", "translate", "values_of")

_ENDED = {"COMPLETED": TrialStatus.COMPLETED, "FAILED": TrialStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Translated:
    """What becomes of a project.

    Attributes:
        facts: In order.
        renamed: The new id of each old trial that was taken over.
        notes: What was left out or changed, as sentences.
    """

    facts: tuple[events.Event, ...]
    renamed: Mapping[str, str]
    notes: tuple[str, ...]


def space_of(project: OldProject, booleans: Collection[str] = ()) -> HyperParameters:
    """Return the search space.

    Args:
        project: The project.
        booleans: Names of Choices whose values 1 and 0 stand for ``True`` and ``False``.

    Raises:
        ConfigurationError: A hyperparameter is none that aiotune allows, or one of
            ``booleans`` is no such Choice.
    """
    space = HyperParameters()
    for entry in project.entries:
        try:
            known = deserialize(entry)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(
                f"The space of {project.directory} cannot be taken over: {error} It is {entry!r}."
            ) from error
        space.add((_of_booleans(known, booleans),))
    for name in booleans:
        if not any(hp.name == name and _holds_booleans(hp) for hp in space.space):
            raise ConfigurationError(
                f"{name!r} is no Choice of 1 and 0 in {project.directory}; its hyperparameters are "
                f"{sorted({hp.name for hp in space.space})}."
            )
    return space


def _of_booleans(hp: HyperParameter, names: Collection[str]) -> HyperParameter:
    """Return a hyperparameter with ``True`` and ``False`` where KerasTuner wrote 1 and 0."""
    config = serialize(hp)
    for condition in config["config"]["conditions"]:
        if condition["config"]["name"] in names:
            condition["config"]["values"] = [bool(v) for v in condition["config"]["values"]]
    if hp.name in names and isinstance(hp, Choice) and set(hp.values) <= {0, 1}:
        own = {"values": [bool(v) for v in hp.values], "default": bool(hp.default)}
        config["config"].update(own, ordered=False)
    return deserialize(config)


def _holds_booleans(hp: HyperParameter) -> bool:
    return isinstance(hp, Choice) and all(isinstance(value, bool) for value in hp.values)


def values_of(trial: OldTrial, space: HyperParameters) -> dict[str, Value]:
    """Return a trial's values in the types of its hyperparameters, without control data.

    KerasTuner's grid gives some whole numbers out as floats.
    """
    kinds = {hp.name: hp for hp in space.space}
    return {
        name: _typed(kinds.get(name), value)
        for name, value in trial.values.items()
        if not name.startswith(CONTROL)
    }


def _typed(hp: HyperParameter | None, value: Value) -> Value:
    if isinstance(hp, Boolean) or (hp is not None and _holds_booleans(hp)):
        return bool(value)
    if isinstance(hp, Int) and isinstance(value, float) and value.is_integer():
        return int(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if isinstance(hp, Float) and is_number else value


def translate(
    project: OldProject, space: HyperParameters, objective: Objective, oracle: str
) -> Translated:
    """Return the facts of a project.

    Args:
        project: What KerasTuner has written.
        space: Its search space, see :func:`space_of`.
        objective: What its trials were compared by.
        oracle: Class name of the oracle that goes on with it.
    """
    taken, notes = _taken_over(project)
    created = [
        events.TrialCreated(
            trial_id=trial.trial_id,
            index=index,
            values=values_of(trial, space),
            budget=budget,
            at=trial.started,
        )
        for index, (trial, budget) in enumerate(taken.values())
    ]
    began = events.SearchStarted(
        oracle=oracle,
        objective=objective.to_dicts(),
        seed=int(project.state.get("seed", 0)),
        max_trials=None,
    )
    grown = [events.SpaceGrew(entries=[serialize(hp) for hp in space.space])] if space.space else []
    ended = [fact for old in _by_end(project, taken) for fact in _end(*old, project, space)]
    return Translated(
        facts=(began, *grown, *created, *ended),
        renamed={old: trial.trial_id for old, (trial, _) in taken.items()},
        notes=tuple(notes),
    )


_Taken = dict[str, tuple[OldTrial, dict[str, Value]]]


def _taken_over(project: OldProject) -> tuple[_Taken, list[str]]:
    """Return the trials under their old ids, each with its budget and, it may be, a new id."""
    budgets = Budgets.of(project)
    taken: _Taken = {}
    notes = []
    for trial in project.trials:
        budget = budgets.give(trial, len(taken)) if budgets is not None else {}
        if budget is None:
            notes.append(
                f"Trial {trial.trial_id} was left out: it goes on with trial "
                f"{trial.values[f'{CONTROL}trial_id']}, which is not there."
            )
        else:
            taken[trial.trial_id] = trial, budget
    for old, (trial, budget) in taken.items():
        # The next trials are numbered from here on; one of these numbers is taken.
        if old.isdecimal() and int(old) >= len(taken):
            new = f"{old}-imported"
            taken[old] = replace(trial, trial_id=new), budget
            notes.append(f"Trial {old} is now {new}, since trials before it were left out.")
    return taken, notes


def _by_end(project: OldProject, taken: _Taken) -> Iterator[tuple[str, OldTrial]]:
    """Yield the trials in the order in which they ended, by their old ids."""
    order = [*(name for name in project.end_order if name in taken), *taken]
    return ((name, taken[name][0]) for name in dict.fromkeys(order))


def _end(
    old_id: str, trial: OldTrial, project: OldProject, space: HyperParameters
) -> list[events.Event]:
    """Return what tells how a trial ended, or that it is to run again."""
    if trial.status == "INVALID":
        return [_retry(trial, project.run_times.get(old_id, 1))]
    status = _ENDED.get(trial.status)
    if status is None:
        return [events.TrialRequeued(trial_id=trial.trial_id, reason="interrupted")]
    if status is TrialStatus.COMPLETED and (trial.score is None or not math.isfinite(trial.score)):
        status = TrialStatus.FAILED
    done = status is TrialStatus.COMPLETED
    reports = _reports(trial) if done else []
    ended = events.TrialEnded(
        trial_id=trial.trial_id,
        status=status,
        values=values_of(trial, space),
        score=trial.score if done else None,
        best_step=trial.best_step,
        metrics=_at(trial, trial.best_step) if done else {},
        failure=None if done else _failure(trial),
        at=trial.ended,
    )
    return [*reports, ended]


def _reports(trial: OldTrial) -> list[events.Event]:
    """Return one report for each step and execution, metrics together."""
    steps = sorted({step for history in trial.observed.values() for step in history})
    reports: list[events.Event] = []
    for step in steps:
        several = {n: h[step] for n, h in trial.observed.items() if step in h}
        for execution in range(max(map(len, several.values()))):
            metrics = {n: v[execution] for n, v in several.items() if execution < len(v)}
            reports.append(
                events.MetricsReported(
                    trial_id=trial.trial_id,
                    attempt=0,
                    step=step,
                    metrics=metrics,
                    execution=execution,
                )
            )
    return reports


def _at(trial: OldTrial, step: int) -> dict[str, float]:
    found = {name: history.get(step, ()) for name, history in trial.observed.items()}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _retry(trial: OldTrial, runs: int) -> events.RetryScheduled:
    return events.RetryScheduled(
        trial_id=trial.trial_id,
        next_attempt=runs + 1,
        failures=runs,
        retries_left=1,  # at least: it waited for one, and how many more is not written down
        failure=_failure(trial),
    )


def _failure(trial: OldTrial) -> TrialFailure:
    """Return what is known of a failure: the traceback, whose last lines name the exception."""
    text = (trial.message or "").strip()
    if not text:
        why = f"The objective was {trial.score}." if trial.score is not None else ""
        return TrialFailure(kind=FailureKind.NOT_FINITE, message=why)
    lines = text.splitlines()
    # Frames are indented, the exception and its message begin a line.
    last = max((n for n, line in enumerate(lines) if _names_exception(line)), default=None)
    if last is None:
        return TrialFailure(kind=FailureKind.ERROR, message=text)
    name, _, said = "\n".join(lines[last:]).partition(": ")
    short = name.rpartition(".")[-1]
    final = short == "FailedTrialError"
    return TrialFailure(
        kind=FailureKind.FAILED_TRIAL if final else FailureKind.ERROR,
        type=short,
        message=said,
        traceback=text,
    )


def _names_exception(line: str) -> bool:
    name = line.partition(":")[0]
    return bool(name) and all(part.isidentifier() for part in name.split("."))


def boolean_notes(entries: Sequence[HyperParameter]) -> list[str]:
    """Return a note for each Choice that may have been one of booleans."""
    return [
        f"The Choice {hp.name!r} has the values {list(hp.values)}, as KerasTuner also writes True and "
        f"False. If the program lists booleans, import with --boolean {hp.name} "
        f"(booleans=[{hp.name!r}])."
        for hp in entries
        if isinstance(hp, Choice) and _maybe_booleans(hp.values)
    ]


def _maybe_booleans(values: Sequence[Any]) -> bool:
    return set(values) <= {0, 1} and all(type(value) is int for value in values)
