"""The oracle: proposes, keeps the trials, decides about retries; async over a synchronous core."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import structlog

from aiotune import events
from aiotune._offload import Offloader, ThreadOffloader
from aiotune.errors import ConfigurationError, InternalError, SearchAborted
from aiotune.failures import TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.metrics import MetricHistory
from aiotune.objective import create_objective
from aiotune.oracles import _core
from aiotune.searchers import Exhausted, Proposal, RandomSearcher, Searcher, SearcherDecision
from aiotune.status import TrialStatus
from aiotune.store import Layout, MemoryStore, Store, open_project, read_events
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial
from aiotune.wire import Done, read_result

__all__ = ("Oracle",)


class Oracle:
    """Proposes configurations and keeps the trials of a search.

    Usable alone, as ask and tell, in memory or in a project directory::

        async with oracle.open("runs", "mine"):
            trial = await oracle.create_trial("w0")
            await oracle.update_trial(trial.trial_id, {"loss": 0.3}, step=1)
            await oracle.end_trial(trial)

    Subclasses may override ``populate_space``, ``score_trial``,
    ``create_trial``, ``update_trial`` and ``end_trial``, as coroutines or as
    plain functions.

    Args:
        objective: See :func:`~aiotune.objective.create_objective`.
        max_trials: How many trials to create; ``None``: no limit.
        hyperparameters: A search space given in advance.
        allow_new_entries: Whether trials may ask for hyperparameters outside it.
        tune_new_entries: Whether such hyperparameters are tuned, or stay at their defaults.
        seed: Makes proposals and training reproducible; ``None`` picks one, which is recorded.
        max_retries_per_trial: How often a failed trial is run again.
        max_consecutive_failed_trials: FAILED trials in a row that end the
            search; ``None``: no limit.
        searcher: The algorithm; default random search.

    Raises:
        ConfigurationError: An argument is impossible.

    Attributes:
        proposes_ahead: Whether a trial may be proposed before it can run, since
            proposals do not depend on results.
        log: Takes one structured event for each retry.
    """

    proposes_ahead = False

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        seed: int | None = None,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
        *,
        searcher: Searcher | None = None,
    ) -> None:
        if hyperparameters is None and not (allow_new_entries and tune_new_entries):
            raise ConfigurationError(
                "With allow_new_entries=False or tune_new_entries=False you must specify the search "
                "space: pass hyperparameters=..."
            )
        if max_trials is not None and (not isinstance(max_trials, int) or max_trials < 1):
            raise ConfigurationError(
                f"max_trials must be a whole number >= 1, or None for no limit, but is {max_trials!r}."
            )
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise ConfigurationError(f"seed must be a whole number or None, but is {seed!r}.")
        self.objective = create_objective(objective)
        self.max_trials = max_trials
        self.allow_new_entries = allow_new_entries
        self.tune_new_entries = tune_new_entries
        self.searcher: Searcher = searcher if searcher is not None else RandomSearcher()
        self.log: Any = structlog.get_logger()
        self.directory: Path | None = None
        self.project_name: str | None = None
        self._policy = _core.RetryPolicy(max_retries_per_trial, max_consecutive_failed_trials)
        self._given = hyperparameters
        self._seed = seed if seed is not None else secrets.randbelow(2**31)
        self._offload: Offloader = ThreadOffloader()
        self._ongoing: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store: Store = MemoryStore()
        self._state = self._new_state(())
        self._add_given()

    # ── opening ────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def open(
        self,
        directory: str | Path | None = None,
        project_name: str | None = None,
        *,
        overwrite: bool = False,
    ) -> AsyncIterator[Oracle]:
        """Hold a project while the context lasts.

        An existing project is continued: finished trials are kept, unfinished
        ones run again first. Without arguments the trials are kept in memory.

        Args:
            directory: Where projects are; default the working directory.
            project_name: The project's directory; default ``"untitled_project"``.
            overwrite: Discard an existing project.

        Raises:
            ProjectLocked: Another process holds the project.
            SpaceChanged: It was searched with another objective or algorithm.
            JournalCorrupt: Its journal is damaged.
        """
        if directory is None and project_name is None:
            yield self
            return
        layout = Layout(directory, project_name)
        store = await open_project(layout, overwrite=overwrite)
        try:
            await self._take_up(store, layout)
            yield self
        finally:
            with anyio.CancelScope(shield=True):
                await store.aclose()
            self._store = MemoryStore()

    async def _take_up(self, store: Store, layout: Layout) -> None:
        state = self._new_state(store.history())
        now = self._search_started(state)
        if state.search is not None:
            _core.check_search(state.search, now)
            if state.search.seed != self._seed:
                self.log.info("seed_continued", seed=state.search.seed)
        self._store, self._state = store, state
        self.directory, self.project_name = layout.project_dir.parent, layout.project_dir.name
        self._ongoing.clear()
        self._waiters()
        self._add_given()
        await self._adopt_results(layout)
        await self.record(now, *_core.take_up(state, self._policy, time.time()))

    def load(self, layout: Layout) -> None:
        """Read an existing project without holding it, to look at its trials."""
        history = read_events(layout)
        if history:
            self._state = self._new_state(history)

    async def _adopt_results(self, layout: Layout) -> None:
        """Keep results that workers had written down when the tuner died."""
        for started in list(self._state.open_attempts.values()):
            path = layout.result_file(started.trial_id, started.attempt)
            done = await self._offload.run("disk", read_result, path)
            if isinstance(done, Done):
                self.log.info("result_adopted", trial=started.trial_id, attempt=started.attempt)
                await self._adopt(self._state.trials[started.trial_id], started, done)

    async def _adopt(self, trial: Trial, started: events.AttemptStarted, done: Done) -> None:
        self.record(
            events.AttemptEnded(
                trial_id=trial.trial_id,
                attempt=started.attempt,
                attempt_id=started.attempt_id,
                outcome=TrialStatus.COMPLETED,
                at=time.time(),
            )
        )
        hp = trial.hyperparameters
        hp.add(HyperParameters.from_config({"space": done.entries, "values": {}}).space)
        hp.values = dict(done.values)
        trial.executions = done.executions
        await self.report_result(trial, done.metrics, done.best_step)
        await self.end_trial(trial)

    def _new_state(self, history: Iterable[events.Event]) -> ProjectState:
        minimize = self.objective.direction == "min"
        return ProjectState.replay(history, seed=self._seed, minimize=minimize)

    def _add_given(self) -> None:
        if self._given is None:
            return
        _core.check_space(self._state, self._given)
        event = _core.grew(self._state, self._given)
        if event is not None:
            self.record(event)

    def _search_started(self, state: ProjectState) -> events.SearchStarted:
        return events.SearchStarted(
            oracle=type(self).__name__,
            objective=self.objective.to_dicts(),
            seed=state.seed,
            max_trials=self.max_trials,
        )

    # ── state ──────────────────────────────────────────────────────────────

    @property
    def trials(self) -> dict[str, Trial]:
        """All trials by id, in order of creation."""
        return self._state.trials

    @property
    def hyperparameters(self) -> HyperParameters:
        """The search space, with default values."""
        return self._state.space

    @property
    def given_space(self) -> HyperParameters:
        """The search space given in advance; empty if none was."""
        return self._given.copy() if self._given is not None else HyperParameters()

    @property
    def seed(self) -> int:
        """The seed of proposals and training."""
        return self._state.seed

    @property
    def ongoing_trials(self) -> dict[str, Trial]:
        """The trial that each ``tuner_id`` has and has not ended."""
        return {tuner: self.trials[trial_id] for tuner, trial_id in self._ongoing.items()}

    @property
    def max_retries_per_trial(self) -> int:
        """How often a failed trial is run again."""
        return self._policy.max_retries

    @property
    def max_consecutive_failed_trials(self) -> int | None:
        """How many FAILED trials in a row end the search."""
        return self._policy.max_consecutive

    @property
    def best_trial(self) -> Trial | None:
        """The best completed trial so far."""
        return self._state.best

    def get_space(self) -> HyperParameters:
        """Return a copy of the search space."""
        return self._state.space.copy()

    def get_trial(self, trial_id: str) -> Trial:
        """Return a trial.

        Raises:
            KeyError: There is none with this id.
        """
        if trial_id not in self.trials:
            raise KeyError(f"There is no trial {trial_id!r}; there are {len(self.trials)}.")
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Return the best completed trials, best first; failed ones are never among them."""
        done = [
            t
            for t in self.trials.values()
            if t.status is TrialStatus.COMPLETED and t.score is not None
        ]
        done.sort(key=lambda t: t.score or 0.0, reverse=self.objective.direction == "max")
        return done[:num_trials]

    def remaining_trials(self) -> int | None:
        """Return how many trials may still be created; ``None`` without a limit."""
        return None if self.max_trials is None else max(0, self.max_trials - len(self.trials))

    # ── the journal ────────────────────────────────────────────────────────

    def record(self, *facts: events.Event) -> Awaitable[None]:
        """Let facts happen: fold them into the state and hand them to the store, in this order.

        Returns:
            An awaitable of their durability; it may be left alone.
        """
        for fact in facts:
            self._state.apply(fact)
        return self._store.append(*facts)

    # ── asking ─────────────────────────────────────────────────────────────

    async def create_trial(self, tuner_id: str) -> Trial:
        """Return the next trial to run, durable in the project.

        Waits while the algorithm needs results of running trials first.

        Args:
            tuner_id: Who asks; who has a trial that has not ended gets that one again.

        Returns:
            A RUNNING trial; one with status STOPPED if nothing is left to run.
        """
        if tuner_id in self._ongoing:
            return self.trials[self._ongoing[tuner_id]]
        trial = await self._create()
        if trial.status is TrialStatus.RUNNING:
            self._ongoing[tuner_id] = trial.trial_id
            await self._store.append()
        return trial

    async def next_trial(self) -> Trial:
        """Return the next trial for a scheduler, which makes it durable with its first attempt."""
        if type(self).create_trial is not Oracle.create_trial:
            answer = await _settled(self.create_trial(f"slot-{secrets.token_hex(4)}"))
            assert isinstance(answer, Trial)
            return answer
        return await self._create()

    async def _create(self) -> Trial:
        lock, _ = self._waiters()
        async with lock:
            while True:
                if self._state.queue:
                    trial = self.trials[self._state.queue.popleft()]
                    trial.status = TrialStatus.RUNNING
                    return trial
                if self.remaining_trials() == 0:
                    return _stopped()
                index = len(self.trials)
                trial_id = _core.trial_id_of(index, self.max_trials)
                decision = await self._decide(trial_id, index)
                if isinstance(decision, Proposal):
                    return self._created(trial_id, index, decision)
                if isinstance(decision, Exhausted):
                    return _stopped()
                await self._something_ended()

    async def _something_ended(self) -> None:
        if not self._state.unfinished:
            raise InternalError(
                f"{type(self.searcher).__name__} answered Wait() although no trial is running, so the "
                "search would wait for ever. A searcher must answer Exhausted() then."
            )
        _, changed = self._waiters()
        await changed.wait()

    async def _decide(self, trial_id: str, index: int) -> SearcherDecision:
        if type(self).populate_space is not Oracle.populate_space:
            return _core.decision_of(await _settled(self.populate_space(trial_id)))
        if self.searcher.is_heavy:
            return await self._offload.run("searcher", self.searcher.propose, self._state, index)
        return self.searcher.propose(self._state, index)

    async def populate_space(self, trial_id: str) -> SearcherDecision | Mapping[str, Any]:
        """Decide what a new trial should try; override it for an algorithm of your own.

        Args:
            trial_id: The id that the trial will have.

        Returns:
            A :class:`Proposal`, ``Wait()`` or ``Exhausted()``; or, in
            KerasTuner's form, a dict with ``status`` and ``values``.
        """
        return self.searcher.propose(self._state, len(self.trials))

    def _created(self, trial_id: str, index: int, proposal: Proposal) -> Trial:
        self.record(
            events.TrialCreated(
                trial_id=trial_id,
                index=index,
                values=dict(proposal.values),
                stream=proposal.stream if self.tune_new_entries else None,
                budget=dict(proposal.budget),
                at=time.time(),
            )
        )
        trial = self.trials[trial_id]
        if type(self).populate_space is not Oracle.populate_space:
            trial.hyperparameters.ensure_active_values()
        return trial

    # ── telling ────────────────────────────────────────────────────────────

    async def update_trial(
        self, trial_id: str, metrics: Mapping[str, float], step: int = 0
    ) -> Trial:
        """Report a trial's metrics at a step.

        Args:
            trial_id: Which trial.
            metrics: Must hold the objective, or all its members.
            step: Epoch or other step.

        Raises:
            ValueError: The objective is missing.
        """
        trial = self.get_trial(trial_id)
        numbers = self._checked(metrics)
        self._register(trial, numbers)
        if trial.attempts == 0:
            self.record(
                events.MetricsReported(trial_id=trial_id, attempt=0, step=step, metrics=numbers)
            )
        else:
            self._set_metrics(trial, numbers, step)
        return trial

    async def report_result(self, trial: Trial, metrics: Mapping[str, float], step: int) -> None:
        """Take the result of a finished attempt, before :meth:`end_trial`."""
        if type(self).update_trial is not Oracle.update_trial:
            await _settled(self.update_trial(trial.trial_id, metrics, step=step))
            return
        numbers = self._checked(metrics)
        self._register(trial, numbers)
        self._set_metrics(trial, numbers, step)

    def _checked(self, metrics: Mapping[str, float]) -> dict[str, float]:
        missing = [name for name in self.objective.names if name not in metrics]
        if missing:
            raise ConfigurationError(
                "Objective value missing in metrics reported to the Oracle, expected: "
                f"{list(self.objective.names)}, found: {sorted(metrics)}."
            )
        return {name: float(value) for name, value in metrics.items()}

    def _register(self, trial: Trial, metrics: Iterable[str]) -> None:
        # The objective's direction is known; that of other metrics is inferred.
        for member in self.objective.to_dicts():
            if member["name"] in metrics and not trial.metrics.exists(member["name"]):
                trial.metrics.metrics[member["name"]] = MetricHistory(member["direction"])

    @staticmethod
    def _set_metrics(trial: Trial, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            trial.metrics.update(name, value, step)

    async def score_trial(self, trial: Trial) -> None:
        """Set ``trial.score`` and ``trial.best_step``; override it to score differently."""
        trial.score, trial.best_step = _core.score_of(trial, self.objective)

    async def end_trial(self, trial: Trial | str, status: TrialStatus | str | None = None) -> None:
        """End a trial, or one attempt of it; it is recorded when this returns.

        A trial with status RUNNING or COMPLETED is scored. One with status
        INVALID is run again while retries are left, and FAILED otherwise.

        Args:
            trial: The trial, with its status set; or its id (KerasTuner's old form).
            status: With an id: how it ended.

        Raises:
            SearchAborted: ``max_consecutive_failed_trials`` were reached.
        """
        stored = self._stored(trial, status)
        await self.update_space(stored.hyperparameters)
        if stored.status in {TrialStatus.RUNNING, TrialStatus.COMPLETED}:
            await self._score(stored)
        event = _core.conclude(stored, self._policy, time.time())
        commit = self.record(event)
        for tuner_id, trial_id in list(self._ongoing.items()):
            if trial_id == stored.trial_id:
                del self._ongoing[tuner_id]
        if isinstance(event, events.RetryScheduled):
            self._log_retry(stored, event)
        self._wake()
        await commit
        if isinstance(event, events.TrialEnded) and event.status is TrialStatus.FAILED:
            self._check_consecutive(event.failure)

    def _stored(self, trial: Trial | str, status: TrialStatus | str | None) -> Trial:
        if isinstance(trial, str):
            stored = self.get_trial(trial)
            stored.status = TrialStatus(status or TrialStatus.COMPLETED)
            return stored
        stored = self.get_trial(trial.trial_id)
        if stored is not trial:
            stored.hyperparameters = trial.hyperparameters
            stored.status, stored.message = trial.status, trial.message
            stored.failure = trial.failure
        return stored

    async def _score(self, trial: Trial) -> None:
        if type(self).score_trial is not Oracle.score_trial:
            await _settled(self.score_trial(trial))
        else:
            trial.score, trial.best_step = _core.score_of(trial, self.objective)

    async def update_space(self, hyperparameters: HyperParameters) -> None:
        """Add hyperparameters that the space does not have yet.

        Raises:
            RuntimeError: ``allow_new_entries`` is ``False`` and there are new ones.
        """
        if len(hyperparameters.space) == len(self._state.space.space):
            return  # the same space, as for nearly every trial
        event = _core.grew(self._state, hyperparameters)
        if event is None:
            return
        if not self.allow_new_entries:
            names = [entry["config"]["name"] for entry in event.entries]
            raise RuntimeError(
                f"`allow_new_entries` is `False`, but found new entries {names}. Add them to "
                "hyperparameters=..., or allow new entries."
            )
        if self.tune_new_entries:
            self.record(event)

    async def declare_space(self, hyperparameters: HyperParameters) -> None:
        """Take the space that the program's model asks for, before the first trial.

        Raises:
            SpaceChanged: The project was searched with other ranges.
        """
        if self._given is None:
            _core.check_space(self._state, hyperparameters)
        await self.update_space(hyperparameters)

    def _log_retry(self, trial: Trial, event: events.RetryScheduled) -> None:
        failure = event.failure
        self.log.warning(
            "trial_retry",
            trial=trial.trial_id,
            attempt=event.next_attempt - 1,
            attempts_left=event.retries_left + 1,
            failure_kind=failure.kind.value,
            error_type=failure.type,
            error_message=failure.message,
            delay=event.delay,
            device=trial.devices[0] if trial.devices else "cpu",
            next_reservation=None,
        )

    def _check_consecutive(self, failure: TrialFailure | None) -> None:
        limit = self._policy.max_consecutive
        if limit is not None and self._state.consecutive_failures >= limit:
            last = (failure.traceback or failure.summary()) if failure is not None else ""
            raise SearchAborted(
                f"Number of consecutive failures exceeded the limit of {limit}.\n{last}",
                limit=limit,
            )

    # ── waiting ────────────────────────────────────────────────────────────

    def _waiters(self) -> tuple[asyncio.Lock, asyncio.Event]:
        # asyncio's primitives belong to one loop; an oracle may see several,
        # one asyncio.run() after the other.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._lock, self._changed = asyncio.Lock(), asyncio.Event()
        return self._lock, self._changed

    def _wake(self) -> None:
        _, changed = self._waiters()
        changed.set()
        self._changed = asyncio.Event()


def _stopped() -> Trial:
    return Trial(HyperParameters(), trial_id="", status=TrialStatus.STOPPED)


async def _settled(result: Any) -> Any:
    """Await what an override returned, if it is a coroutine."""
    return await result if inspect.isawaitable(result) else result
