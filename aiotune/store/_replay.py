"""The state of a project: a pure fold over its events.

The live search and a resumed one go through the same :meth:`ProjectState.apply`,
so what is in memory is always what the journal says. Every event costs the
same at the ten-thousandth trial as at the first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import assert_never

from aiotune import events
from aiotune._printable import printable, shown
from aiotune._values import Value, Values, ValueTable
from aiotune.errors import JournalCorrupt
from aiotune.failures import FailureKind, MemoryCause, TrialFailure
from aiotune.hyperparameters import HyperParameters, deserialize
from aiotune.memory import Calibration, CalibrationKey, Rung, training_bytes
from aiotune.metrics import MetricsTracker
from aiotune.objective import Objective
from aiotune.searchers import FrozenHistory, Tried, values_key
from aiotune.status import TrialStatus
from aiotune.store._collector import collector_paused
from aiotune.store._trials import Trials
from aiotune.trial import Trial

__all__ = ("ProjectState",)

_NO_BUDGET: Mapping[str, Value] = MappingProxyType({})


class ProjectState:
    """Everything that is known of a project; also what searchers see as the history.

    Args:
        seed: Seeds proposals and training, until a journal says otherwise.
        objective: What trials are compared by.

    Attributes:
        trials: All trials by id, in order of creation.
        space: The search space, with default values.
        search: The last search's configuration, or ``None`` before the first.
        queue: Ids of trials to run again, in order; the values mean nothing.
        open_attempts: Attempts that started and have not ended, by trial.
        consecutive_failures: FAILED trials since the last COMPLETED one, or since the search began.
        best: The best COMPLETED trial.
        version: Grows with every event that changes what a searcher may decide from.
        calibration: What peaks of earlier trials teach about predictions.
        rejected: How many trials could not run here.
        end_order: Ids of ended trials, in the order of their ends.
        consecutive_rejections: How many since one ended in another way, or the search began.
        oracle_state: What a subclass of the oracle keeps of its own, as JSON; ``None`` if not here.
    """

    def __init__(self, *, seed: int, objective: Objective) -> None:
        self.seed = seed
        self.objective = objective
        self.trials: dict[str, Trial] = Trials()
        self.space = HyperParameters()
        self.search: events.SearchStarted | None = None
        self.project_id = ""
        self.queue: OrderedDict[str, None] = OrderedDict()
        self.open_attempts: dict[str, events.AttemptStarted] = {}
        self.consecutive_failures = 0
        self.best: Trial | None = None
        self.version = 0
        self.calibration = Calibration()
        self.rejected = 0
        self.consecutive_rejections = 0
        self.end_order: list[str] = []
        self.oracle_state: str | None = None
        self._announced: events.OracleStateKept | None = None
        self._directions = {d["name"]: d["direction"] for d in objective.to_dicts()}
        self._tried: list[Tried] = []
        self._unfinished: dict[int, None] = {}
        self._taken: set[int] = set()
        self._table = ValueTable()

    @classmethod
    def replay(
        cls, history: Iterable[events.Event], *, seed: int, objective: Objective
    ) -> ProjectState:
        """Fold a journal.

        Raises:
            JournalCorrupt: A record cannot follow those before it.
        """
        state = cls(seed=seed, objective=objective)
        with collector_paused():
            for number, event in enumerate(history):
                try:
                    state.apply(event)
                except JournalCorrupt:
                    raise
                except Exception as error:
                    # A checksum says that a record is as it was written, not that we wrote it.
                    raise JournalCorrupt(
                        f"Record {number} of the journal, a {type(event).__name__}, says what cannot be: "
                        f"{printable(error, 300)}. It was edited, or written by another program; restore it "
                        "from a copy."
                    ) from error
        return state

    # ── what a searcher sees ───────────────────────────────────────────────

    @property
    def minimize(self) -> bool:
        """Whether a smaller score is better."""
        return self.objective.direction == "min"

    @property
    def tried(self) -> Sequence[Tried]:
        """All trials, by index."""
        return self._tried

    @property
    def unfinished(self) -> Collection[int]:
        """Indices of the trials that have not ended."""
        return self._unfinished.keys()

    def contains(self, values: Values) -> bool:
        """Whether some trial was proposed, or ended, with exactly these values."""
        return values_key(values) in self._taken

    def frozen(self) -> FrozenHistory:
        """Return the history as it is now, for another thread to read."""
        return FrozenHistory(
            version=self.version,
            seed=self.seed,
            space=self.space.copy(),
            minimize=self.minimize,
            tried=self._tried.copy(),
            unfinished=frozenset(self._unfinished),
            taken=self._taken,
        )

    # ── the fold ───────────────────────────────────────────────────────────

    def apply(self, event: events.Event) -> None:  # noqa: C901, PLR0912 - one arm a fact
        """Take in one fact.

        Raises:
            JournalCorrupt: The fact contradicts those before it.
        """
        if self._announced is not None:
            self._oracle_state_follows(event)
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
            case events.TrialWeighed():
                self._trial(event.trial_id).weighed = event
            case events.MemoryObserved():
                self._memory(event)
            case events.TrialPruned():
                self._unended(event.trial_id).stop_reason = event.reason
            case events.RetryScheduled():
                self._retry(event)
            case events.TrialRequeued():
                self._requeued(event)
            case events.SpaceGrew():
                self._grew(event)
            case events.SearchStarted():
                self._search_started(event)
            case events.OracleStateKept():
                self._oracle_state_kept(event)
            case events.ProjectCreated():
                self.project_id = event.project_id
            case (
                events.ProjectOpened()
                | events.SearchEnded()
                | events.ProjectClosed()
                | events.DeviceQuarantined()
                | events.DeviceReturned()
            ):
                pass  # for people and tools; nothing follows from them
            case _:
                assert_never(event)

    def _requeued(self, event: events.TrialRequeued) -> None:
        trial = self._unended(event.trial_id)
        trial.lost = event.lost
        self._requeue(trial)

    def _oracle_state_kept(self, event: events.OracleStateKept) -> None:
        self._announced = event
        if not event.trial_id:
            self._oracle_state_follows(event)

    def _grew(self, event: events.SpaceGrew) -> None:
        self.space.add(deserialize(entry) for entry in event.entries)
        self.space.ensure_active_values()
        self.version += 1

    def _search_started(self, event: events.SearchStarted) -> None:
        self.search, self.seed = event, event.seed
        self.consecutive_failures = self.consecutive_rejections = 0

    def is_unfinished(self, trial: Trial) -> bool:
        """Whether a trial's end is not recorded, whatever its status has been set to."""
        return trial.index in self._unfinished

    def _trial(self, trial_id: str) -> Trial:
        trial = self.trials.get(trial_id)
        if trial is None:
            raise JournalCorrupt(
                f"The journal speaks of trial {shown(trial_id)} before its creation. It was edited, or written "
                "by another program; restore it from a copy."
            )
        return trial

    def _unended(self, trial_id: str) -> Trial:
        trial = self._trial(trial_id)
        if not self.is_unfinished(trial):
            raise JournalCorrupt(
                f"The journal goes on with trial {shown(trial_id)} after its end as {trial.status}. It was "
                "edited, or written by another program; restore it from a copy."
            )
        return trial

    def _oracle_state_follows(self, event: events.Event) -> None:
        """Let what was announced hold, if this is the record that it was announced for."""
        announced, self._announced = self._announced, None
        if announced is not None and getattr(event, "trial_id", "") == announced.trial_id:
            self.oracle_state = announced.state

    def _created(self, event: events.TrialCreated) -> None:
        if event.index != len(self._tried) or event.trial_id in self.trials:
            raise JournalCorrupt(
                f"The journal creates trial {shown(event.trial_id)} as number {event.index}, but holds "
                f"{len(self._tried)} trials. It was edited, or written by another program; restore it "
                "from a copy."
            )
        trial = Trial(self.space.with_values(event.values), event.trial_id, TrialStatus.RUNNING)
        budget = event.budget or _NO_BUDGET
        trial.index, trial.stream, trial.budget = event.index, event.stream, budget
        parent = event.budget.get("parent")
        if isinstance(parent, int):
            trial.parent_id = next(islice(self.trials, parent, None), None)
        self.trials[event.trial_id] = trial
        self._tried.append(
            Tried(event.index, event.values, TrialStatus.RUNNING, None, budget=budget)
        )
        self._unfinished[event.index] = None
        self._taken.add(values_key(event.values))

    def _attempt_started(self, event: events.AttemptStarted) -> None:
        trial = self._unended(event.trial_id)
        self._handed_out(trial)
        trial.status = TrialStatus.RUNNING
        trial.attempts = event.attempt
        trial.devices = event.devices
        trial.stop_reason = None
        self.open_attempts[event.trial_id] = event

    def _handed_out(self, trial: Trial) -> None:
        """Take a trial out of the queue: in a replay, what comes next is all that tells."""
        self.queue.pop(trial.trial_id, None)  # also one that a caller ends while it waits
        if trial.status is TrialStatus.QUEUED:
            trial.status = TrialStatus.RUNNING

    def _attempt_ended(self, event: events.AttemptEnded) -> None:
        trial = self._unended(event.trial_id)
        self.open_attempts.pop(event.trial_id, None)
        trial.peak = event.peak
        _failed(trial, event.failure)
        if event.outcome in {TrialStatus.INVALID, TrialStatus.CANCELLED}:
            trial.status = event.outcome

    def _metrics(self, event: events.MetricsReported) -> None:
        trial = self._trial(event.trial_id)
        trial.history.append((event.execution, event.step, event.metrics))
        if event.attempt == 0:  # told by a caller of ask and tell, not by a worker
            self.observe(trial, event.metrics, event.step)

    def observe(self, trial: Trial, metrics: Mapping[str, float], step: int) -> None:
        """Add values to a trial's metrics; the objective's direction is known, others are inferred."""
        for name, value in metrics.items():
            if not trial.metrics.exists(name):
                trial.metrics.register(name, self._directions.get(name))
            # Not through the tracker, which would look for the best value before and after.
            trial.metrics.metrics[name].update(value, step)

    def _retry(self, event: events.RetryScheduled) -> None:
        trial = self._unended(event.trial_id)
        trial.failures = event.failures
        _failed(trial, event.failure)
        if event.reservation is not None:
            trial.rung = Rung(event.reservation, alone=event.alone)
            trial.batch_divisor = event.batch_divisor
            _count_memory(trial, event.failure)
        self._requeue(trial)

    def _requeue(self, trial: Trial) -> None:
        self.open_attempts.pop(trial.trial_id, None)
        trial.status = TrialStatus.QUEUED
        # What a failed attempt measured must not be mistaken for a result.
        trial.metrics = MetricsTracker()
        trial.history = []
        trial.stop_reason = None
        trial.executions = []
        trial.files = {}
        trial.score = None
        # What others discovered meanwhile is known to it when it runs again.
        trial.hyperparameters.add(self.space.space)
        self.queue[trial.trial_id] = None
        self.queue.move_to_end(trial.trial_id)
        self.version += 1

    def _ended(self, event: events.TrialEnded) -> None:
        trial = self._unended(event.trial_id)
        self.open_attempts.pop(event.trial_id, None)
        self._handed_out(trial)
        trial.status = event.status
        trial.message = None
        _failed(trial, event.failure)
        trial.score, trial.best_step = event.score, event.best_step
        trial.executions, trial.files = event.executions, event.files
        unknown = {n: v for n, v in event.metrics.items() if not trial.metrics.exists(n)}
        self.observe(trial, unknown, event.best_step)
        self._final_values(trial, event)
        self._count(trial)
        del self._unfinished[trial.index]
        self.end_order.append(trial.trial_id)
        self.version += 1

    def _final_values(self, trial: Trial, event: events.TrialEnded) -> None:
        # The proposed values stay taken as well. So whether a draw collides does
        # not depend on which trials have ended: the same seed gives the same
        # configurations however many run at once.
        self._taken.add(values_key(event.values))
        values = self._table.frozen(event.values)
        trial.settle(values, self.space)
        score = event.score
        known = score if score is not None and not math.isnan(score) else None
        size = trial.weighed.size if trial.weighed is not None else None
        self._tried[trial.index] = Tried(
            trial.index,
            values,
            event.status,
            known,
            None if size is None else training_bytes(size),
            trial.budget,
        )

    def _memory(self, event: events.MemoryObserved) -> None:
        key = CalibrationKey(event.space, event.backend, event.device, event.dtype)
        self.calibration.observe(
            key,
            predicted=event.predicted,
            peak=event.peak,
            context=0,  # the peak is the back end's own
            censored=event.censored,
        )
        if event.context:
            self.calibration.observe_context(event.backend, event.device, event.context)

    def _count(self, trial: Trial) -> None:
        if trial.status is TrialStatus.REJECTED:
            self.rejected += 1
            self.consecutive_rejections += 1
        else:
            self.consecutive_rejections = 0
        if trial.status is TrialStatus.FAILED:
            self.consecutive_failures += 1
        elif trial.status is TrialStatus.COMPLETED:
            self.consecutive_failures = 0
            if trial.score is None:
                return
            # Of equal ones the oldest, as in every list of the best: who ends first is chance.
            sign, held = (1 if self.minimize else -1), ([self.best] if self.best else [])
            self.best = min([*held, trial], key=lambda t: (sign * (t.score or 0.0), t.index))


def _count_memory(trial: Trial, failure: TrialFailure) -> None:
    if failure.memory is not None and failure.memory.cause is MemoryCause.FOREIGN:
        trial.foreign += 1
    else:
        trial.memory_tries += 1


def _failed(trial: Trial, failure: TrialFailure | None) -> None:
    trial.failure = failure
    if failure is not None:
        # Where in build() a model became too large says nothing; by how much does.
        told = failure.traceback if failure.kind is not FailureKind.OVERSIZED else ""
        trial.message = told or failure.summary()
