"""Learning curves of a project's trials, as pruners see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiotune._settled import Report
from aiotune.objective import MultiObjective, Objective
from aiotune.pruners import Curve, Pruner
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = ("Curves",)


@dataclass(slots=True)
class _Read:
    """How far a history has been read; a trial that runs again has another one."""

    history: Sequence[Report]
    values: dict[int, float] = field(default_factory=dict)
    length: int = 0
    is_whole: bool = False


class Curves:
    """The objective by step of every trial's first execution, read from its history once.

    Later executions train the same configuration again: once the first was
    worth its while, they are.

    Args:
        state: Where the trials are; it may go on changing.
        objective: What the curves show.
    """

    def __init__(self, state: ProjectState, objective: Objective | MultiObjective) -> None:
        self._state, self._objective = state, objective
        self._read: dict[str, _Read] = {}

    def of(self, state: ProjectState) -> bool:
        """Whether these are the curves of a state."""
        return self._state is state

    def judge(self, pruner: Pruner, trial: Trial, step: int) -> str | None:
        """Ask a pruner about a trial that has just reported a step."""
        curve = self._curve(trial)
        if step not in curve.values:
            return None
        return pruner.judge(
            curve, step, self._others(trial), minimize=self._objective.direction == "min"
        )

    def _others(self, trial: Trial) -> Sequence[Curve]:
        curves = (self._curve(t) for t in self._state.trials.values() if t is not trial)
        return [curve for curve in curves if curve.values]

    def _curve(self, trial: Trial) -> Curve:
        read = self._read.get(trial.trial_id)
        if read is not None and read.is_whole:
            return Curve(trial.index, read.values, done=True)
        history = trial.history
        if read is None or read.history is not history:
            read = self._read[trial.trial_id] = _Read(history)
        for execution, step, metrics in history[read.length :]:
            if execution == 0 and self._objective.has_value(metrics):
                read.values[step] = self._objective.get_value(metrics)
        read.length, read.is_whole = len(history), trial.is_settled
        if read.is_whole:
            read.history = ()  # made for this reading only
        return Curve(trial.index, read.values, trial.status.is_final)
