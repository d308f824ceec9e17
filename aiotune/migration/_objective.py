"""Which objective a project of KerasTuner had: its files do not say, its scores tell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aiotune.errors import ConfigurationError
from aiotune.migration._read import OldProject, OldTrial
from aiotune.objective import (
    DEFAULT_OBJECTIVE_NAME,
    DefaultObjective,
    Objective,
    infer_metric_direction,
)

__all__ = ("check_objective", "find_objective", "objective_notes")

_LONG = {"min": "small", "max": "large"}
_CLOSE = 1e-6
"""Relative difference below which two numbers are the same: scores are stored as doubles."""


def find_objective(project: OldProject) -> Objective:
    """Return the one metric that all scores of a project are values of.

    Raises:
        ConfigurationError: There is none, or more than one, or its direction is unknown.
    """
    scored = _scored(project)
    names = [name for name in _common(scored) if all(_is_score(t, name) for t in scored)]
    if DEFAULT_OBJECTIVE_NAME in names:
        return DefaultObjective()
    directions = {name: _direction(name, scored) for name in names}
    match list(directions.items()):
        case [("multi_objective", _)]:
            why = "of which objectives its scores are the sum"
        case [(name, str(direction))]:
            return Objective(name, direction)
        case [(name, None)]:
            why = f"whether {name!r}, by which its trials were scored, is to be small or large"
        case []:
            why = f"what its {len(scored)} completed trials were scored by"
        case _:
            why = f"by which of {', '.join(map(repr, names))} its trials were scored"
    raise ConfigurationError(
        f"The files of {project.directory} do not tell {why}.",
        hint="Pass --objective NAME:min or --objective NAME:max (objective=...), once for each objective.",
    )


def objective_notes(project: OldProject, objective: Objective) -> list[str]:
    """Return a note for each member of an objective whose direction KerasTuner had wrong."""
    return [
        f"KerasTuner was told, or took it, that {member['name']!r} is to be "
        f"{_LONG[taken]}; from now on it is to be {_LONG[member['direction']]}. Pass --objective "
        f"{member['name']}:{taken} if that is wrong."
        for member in objective.to_dicts()
        if (taken := _stored(member["name"], _scored(project))) not in {None, member["direction"]}
    ]


def _direction(name: str, trials: Sequence[OldTrial]) -> str | None:
    """Return which way a metric is better; what KerasTuner wrote counts where its name says nothing."""
    return infer_metric_direction(name) or _stored(name, trials)


def _stored(name: str, trials: Sequence[OldTrial]) -> str | None:
    return next((t.directions[name] for t in trials if name in t.directions), None)


def check_objective(project: OldProject, objective: Objective) -> None:
    """Refuse an objective that the scores of a project are no values of.

    Raises:
        ConfigurationError: A completed trial lacks it, or has another score.
    """
    for trial in _scored(project):
        means = _means(trial)
        missing = [name for name in objective.names if name not in means]
        if missing:
            raise ConfigurationError(
                f"Trial {trial.trial_id} of {project.directory} has no {missing[0]!r}; it has "
                f"{sorted(means)}. Pass the objective that the project was searched with."
            )
        value = objective.get_value(means)
        if not _same(value, trial.score):
            raise ConfigurationError(
                f"The score of trial {trial.trial_id} of {project.directory} is {trial.score}, but "
                f"{objective} of its metrics is {value}. Pass the objective that the project was "
                "searched with."
            )


def _scored(project: OldProject) -> list[OldTrial]:
    return [t for t in project.trials if t.status == "COMPLETED" and t.score is not None]


def _common(trials: Sequence[OldTrial]) -> list[str]:
    """Return the metrics that all trials have, in the order of the first."""
    if not trials:
        return []
    return [name for name in trials[0].observed if all(name in t.observed for t in trials)]


def _is_score(trial: OldTrial, name: str) -> bool:
    return _same(_means(trial).get(name, math.nan), trial.score)


def _means(trial: OldTrial) -> dict[str, float]:
    """Return a trial's metrics at its best step; of one that was not measured there, the last value."""
    found = {}
    for name, steps in trial.observed.items():
        values = steps.get(trial.best_step) or (steps[max(steps)] if steps else ())
        if values:
            found[name] = sum(values) / len(values)
    return found


def _same(a: float, b: float | None) -> bool:
    return b is not None and math.isclose(a, b, rel_tol=_CLOSE)
