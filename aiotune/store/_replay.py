"""The state of a project: a pure fold over its events.

The live search and a resumed one go through the same :meth:`ProjectState.apply`,
so what is in memory is always what the journal says. Every event costs the
same at the ten-thousandth trial as at the first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import assert_never

from aiotune import events
from aiotune._values import Values
from aiotune.errors import JournalCorrupt
from aiotune.hyperparameters import HyperParameters, deserialize
from aiotune.metrics import MetricsTracker
from aiotune.searchers import Tried
from aiotune.status import TrialStatus
from aiotune.trial import Trial

__all__ = ("ProjectState",)


class ProjectState:
    """Everything that is known of a project; also what searchers see as the history.

    Attributes:
        trials: All trials by id, in order of creation.
        space: The search space, with default values.
        seed: Seeds proposals and training.
        search: The last search's configuration, or ``None`` before the first.
        queue: Trials to run again, in order.
        open_attempts: Attempts that started and have not ended, by trial.
        consecutive_failures: FAILED trials since the last COMPLETED one, or since the search began.
        best: The best COMPLETED trial.
        version: Grows with every event that changes what a searcher may decide from.
    """

    def __init__(self, *, seed: int, minimize: bool = True) -> None:
        self.seed = seed
        self.minimize = minimize
        self.trials: dict[str, Trial] = {}
        self.space = HyperParameters()
        self.search: events.SearchStarted | None = None
        self.project_id = ""
        self.queue: deque[str] = deque()
        self.open_attempts: dict[str, events.AttemptStarted] = {}
        self.consecutive_failures = 0
        self.best: Trial | None = None
        self.version = 0
        self._tried: list[Tried] = []
        self._unfinished: dict[int, None] = {}
        self._taken: dict[frozenset[tuple[str, object]], int] = {}

    @classmethod
    def replay(
        cls, history: Iterable[events.Event], *, seed: int, minimize: bool = True
    ) -> ProjectState:
        """Fold a journal."""
        state = cls(seed=seed, minimize=minimize)
        for event in history:
            state.apply(event)
        return state

    # ── what a searcher sees ───────────────────────────────────────────────

    @property
    def tried(self) -> Sequence[Tried]:
        """All trials, by index."""
        return self._tried

    @property
    def unfinished(self) -> Collection[int]:
        """Indices of the trials that have not ended."""
        return self._unfinished.keys()

    def contains(self, values: Values) -> bool:
        """Whether some trial has exactly these values."""
        return frozenset(values.items()) in self._taken

    # ── the fold ───────────────────────────────────────────────────────────

    def apply(self, event: events.Event) -> None:
        """Take in one fact.

        Raises:
            JournalCorrupt: The fact contradicts those before it.
        """
        match event:
            case events.MetricsReported():
                self._metrics(event)
            case events.AttemptStarted():
                self._attempt_started(event)
            case events.AttemptEnded():
                self._attempt_ended(event)
            case events.TrialCreated():
                self._created(event)
            case events.TrialEnded():
                self._ended(event)
            case events.RetryScheduled():
                self._retry(event)
            case events.TrialRequeued():
                trial = self._trial(event.trial_id)
                trial.lost = event.lost
                self._requeue(trial)
            case events.SpaceGrew():
                self.space.add(deserialize(entry) for entry in event.entries)
                self.space.ensure_active_values()
                self.version += 1
            case events.SearchStarted():
                self.search = event
                self.seed = event.seed
                self.consecutive_failures = 0
            case events.ProjectCreated():
                self.project_id = event.project_id
            case events.ProjectOpened() | events.SearchEnded() | events.ProjectClosed():
                pass  # for people and tools; nothing follows from them
            case _:
                assert_never(event)

    def _trial(self, trial_id: str) -> Trial:
        trial = self.trials.get(trial_id)
        if trial is None:
            raise JournalCorrupt(
                f"The journal speaks of trial {trial_id!r} before its creation. It was edited, or written "
                "by another program; restore it from a copy."
            )
        return trial

    def _created(self, event: events.TrialCreated) -> None:
        if event.index != len(self._tried) or event.trial_id in self.trials:
            raise JournalCorrupt(
                f"The journal creates trial {event.trial_id!r} as number {event.index}, but holds "
                f"{len(self._tried)} trials."
            )
        trial = Trial(self.space.with_values(event.values), event.trial_id, TrialStatus.RUNNING)
        trial.index, trial.stream, trial.budget = event.index, event.stream, event.budget
        self.trials[event.trial_id] = trial
        self._tried.append(Tried(event.index, event.values, TrialStatus.RUNNING, None))
        self._unfinished[event.index] = None
        self._take(event.values, 1)

    def _attempt_started(self, event: events.AttemptStarted) -> None:
        trial = self._trial(event.trial_id)
        if trial.status is TrialStatus.QUEUED:  # in a replay: nobody has handed it out
            self.queue.remove(event.trial_id)
        trial.status = TrialStatus.RUNNING
        trial.attempts = event.attempt
        trial.devices = event.devices
        self.open_attempts[event.trial_id] = event

    def _attempt_ended(self, event: events.AttemptEnded) -> None:
        trial = self._trial(event.trial_id)
        self.open_attempts.pop(event.trial_id, None)
        trial.failure = event.failure
        if event.outcome in {TrialStatus.INVALID, TrialStatus.CANCELLED}:
            trial.status = event.outcome

    def _metrics(self, event: events.MetricsReported) -> None:
        trial = self._trial(event.trial_id)
        trial.history.append((event.execution, event.step, event.metrics))
        if event.attempt == 0:  # told by a caller of ask and tell, not by a worker
            for name, value in event.metrics.items():
                trial.metrics.update(name, value, event.step)

    def _retry(self, event: events.RetryScheduled) -> None:
        trial = self._trial(event.trial_id)
        trial.failures = event.failures
        trial.failure = event.failure
        self._requeue(trial)

    def _requeue(self, trial: Trial) -> None:
        self.open_attempts.pop(trial.trial_id, None)
        trial.status = TrialStatus.QUEUED
        # What a failed attempt measured must not be mistaken for a result.
        trial.metrics = MetricsTracker()
        trial.history = []
        trial.score = None
        if trial.trial_id not in self.queue:
            self.queue.append(trial.trial_id)
        self.version += 1

    def _ended(self, event: events.TrialEnded) -> None:
        trial = self._trial(event.trial_id)
        self.open_attempts.pop(event.trial_id, None)
        if trial.status is TrialStatus.QUEUED:
            self.queue.remove(event.trial_id)
        trial.status = event.status
        trial.failure = event.failure
        if event.failure is not None:
            trial.message = event.failure.traceback or event.failure.summary()
        trial.score, trial.best_step = event.score, event.best_step
        trial.executions = event.executions
        for name, value in event.metrics.items():
            if not trial.metrics.exists(name):
                trial.metrics.update(name, value, event.best_step)
        self._final_values(trial, event)
        self._count(trial)
        self._unfinished.pop(trial.index, None)
        self.version += 1

    def _final_values(self, trial: Trial, event: events.TrialEnded) -> None:
        before = self._tried[trial.index].values
        if before != event.values:
            self._take(before, -1)
            self._take(event.values, 1)
        trial.hyperparameters.add(self.space.space)
        trial.hyperparameters.values = dict(event.values)
        score = event.score
        known = score if score is not None and not math.isnan(score) else None
        self._tried[trial.index] = Tried(trial.index, event.values, event.status, known)

    def _count(self, trial: Trial) -> None:
        if trial.status is TrialStatus.FAILED:
            self.consecutive_failures += 1
        elif trial.status is TrialStatus.COMPLETED:
            self.consecutive_failures = 0
            best = self.best.score if self.best is not None else None
            score = trial.score
            if score is None:
                return
            if best is None or (score < best if self.minimize else score > best):
                self.best = trial

    def _take(self, values: Values, change: int) -> None:
        key = frozenset(values.items())
        count = self._taken.get(key, 0) + change
        if count > 0:
            self._taken[key] = count
        else:
            self._taken.pop(key, None)
