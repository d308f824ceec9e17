"""Learning curves of a project's trials, as pruners see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiotune._settled import Report
from aiotune.objective import MultiObjective, Objective
from aiotune.pruners import Curve, Pruner
from aiotune.pruners._base import badness
from aiotune.pruners._looks import looks_at_curves
from aiotune.pruners._peers import Columns, Peers
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = ("Curves",)


@dataclass(slots=True)
class _Read:
    """How far the history of a trial that has not ended was read; one that runs again has another one."""

    trial: Trial
    history: Sequence[Report] = ()
    values: dict[int, float] = field(default_factory=dict)
    length: int = 0


class Curves:
    """The objective by step of every trial's first execution, read from its history once.

    Later executions train the same configuration again: once the first was
    worth its while, they are. A look costs as much as there are trials that have not ended:
    of the others only the place of each value among all at its step is kept, and their
    curves only once a pruner has looked at them.

    Args:
        state: Where the trials are; it may go on changing.
        objective: What the curves show.
    """

    def __init__(self, state: ProjectState, objective: Objective | MultiObjective) -> None:
        self._state, self._objective = state, objective
        self._minimize = objective.direction == "min"
        self._columns = Columns()
        self._open: dict[str, _Read] = {}
        self._seen = 0
        self._curves: dict[int, Curve] | None = None

    def of(self, state: ProjectState) -> bool:
        """Whether these are the curves of a state."""
        return self._state is state

    def prepare(self, pruner: Pruner) -> None:
        """Read what there is, so that no report has to wait for it."""
        self._catch_up()
        self._columns.settle()
        if looks_at_curves(pruner):
            self._all()

    def judge(self, pruner: Pruner, trial: Trial, step: int) -> str | None:
        """Ask a pruner about a trial that has just reported a step."""
        self._catch_up()
        read = self._open.get(trial.trial_id)
        values = read.values if read is not None else self._values(trial.history)
        if step not in values:
            return None
        own = Curve(trial.index, values, trial.status.is_final)
        peers = Peers(
            self._columns, own, lambda: self._others(trial.index), minimize=self._minimize
        )
        return pruner.judge(own, step, peers, minimize=self._minimize)

    # ── values by step ─────────────────────────────────────────────────────

    def _catch_up(self) -> None:
        trials = self._state.trials
        if len(trials) > self._seen:
            for trial in list(trials.values())[self._seen :]:
                self._open[trial.trial_id] = _Read(trial)
            self._seen = len(trials)
        for read in list(self._open.values()):
            if self._state.is_unfinished(read.trial):
                self._go_on(read)
            else:
                self._end(read)

    def _go_on(self, read: _Read) -> None:
        history = read.trial.history
        if read.history is not history:
            for step in list(read.values):
                self._take_back(read, step)
            read.history, read.length = history, 0
        if len(history) > read.length:
            for step, value in self._values(history[read.length :]).items():
                self._take(read, step, value)
            read.length = len(history)

    def _end(self, read: _Read) -> None:
        """Read a trial's history for the last time: it may have run again since it was read."""
        values = self._values(read.trial.history)
        for step in read.values.keys() - values.keys():
            self._take_back(read, step)
        for step, value in values.items():
            self._take(read, step, value)
        del self._open[read.trial.trial_id]
        if self._curves is not None:
            self._curves[read.trial.index] = Curve(read.trial.index, read.values, done=True)

    def _values(self, history: Iterable[Report]) -> dict[int, float]:
        objective = self._objective
        return {
            step: objective.get_value(metrics)
            for execution, step, metrics in history
            if execution == 0 and objective.has_value(metrics)
        }

    def _take(self, read: _Read, step: int, value: float) -> None:
        bad = badness(value, minimize=self._minimize)
        if step in read.values:
            if badness(read.values[step], minimize=self._minimize) == bad:
                return
            self._take_back(read, step)
        read.values[step] = value
        self._columns.add(step, bad)

    def _take_back(self, read: _Read, step: int) -> None:
        bad = badness(read.values.pop(step), minimize=self._minimize)
        self._columns.remove(step, bad)

    # ── curves, for who looks at them ──────────────────────────────────────

    def _others(self, index: int) -> list[Curve]:
        return [c for i, c in self._all().items() if c.values and i != index]

    def _all(self) -> dict[int, Curve]:
        if self._curves is None:
            self._curves = {}
            for trial in list(self._state.trials.values())[: self._seen]:
                if trial.trial_id not in self._open:
                    values = self._values(trial.history)
                    self._curves[trial.index] = Curve(trial.index, values, done=True)
        for read in self._open.values():
            index = read.trial.index
            self._curves[index] = Curve(index, read.values, read.trial.status.is_final)
        return self._curves
