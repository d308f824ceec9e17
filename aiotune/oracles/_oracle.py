"""The oracle: proposes, keeps the trials, decides about retries; async over a synchronous core."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import structlog

from aiotune import events, logs
from aiotune._offload import Offloader, ThreadOffloader
from aiotune.errors import ConfigurationError, InternalError, SearchAborted
from aiotune.hyperparameters import HyperParameters, draw
from aiotune.objective import create_objective
from aiotune.oracles import _core
from aiotune.oracles._adoption import adopt_results
from aiotune.oracles._book import Book
from aiotune.oracles._compat import FamiliarOracle
from aiotune.oracles._fits import begun, check_search
from aiotune.oracles._limits import check_consecutive
from aiotune.oracles._said import checked_metrics, decision_of, id_of, scored, settled, take_status
from aiotune.oracles._synchronized import outside_the_lock
from aiotune.pruners import Pruner
from aiotune.searchers import Exhausted, Proposal, RandomSearcher, Searcher, SearcherDecision
from aiotune.status import TrialStatus
from aiotune.store import Layout, MemoryStore, open_project
from aiotune.trial import Trial

__all__ = ("Oracle",)


class Oracle(FamiliarOracle):
    """Proposes configurations and keeps the trials of a search.

    Usable alone, as ask and tell, in memory or in a project directory::

        async with oracle.open("runs", "mine"):
            trial = await oracle.create_trial("w0")
            await oracle.update_trial(trial.trial_id, {"loss": 0.3}, step=1)
            await oracle.end_trial(trial)

    Subclasses may override ``populate_space``, ``score_trial``, ``create_trial``,
    ``update_trial`` and ``end_trial``, as coroutines or as plain functions.

    Args:
        objective: See :func:`~aiotune.objective.create_objective`.
        max_trials: How many trials to create; ``None``: no limit.
        hyperparameters: A search space given in advance.
        allow_new_entries: Whether trials may ask for hyperparameters outside it.
        tune_new_entries: Whether such hyperparameters are tuned, or stay at their defaults.
        seed: Makes proposals and training reproducible; ``None`` picks one, which is
            recorded. A project that is continued goes on with the seed it began with.
        max_retries_per_trial: How often a failed trial is run again.
        max_consecutive_failed_trials: FAILED trials in a row that end the
            search; ``None``: no limit.
        searcher: The algorithm; default random search.
        pruner: Ends trials early that do worse than others; see :mod:`aiotune.pruners`.

    Raises:
        ConfigurationError: An argument is impossible, or of a wrong type (:class:`WrongType`).

    Attributes:
        proposes_ahead: Whether a trial may be proposed before it can run, since
            proposals do not depend on results.
        searcher: The algorithm.
        pruner: Ends trials early; ``None``: none.
        log: Takes one structured event for each decision.
        offload: Runs what would block the event loop; default threads.
        directory: Where the project is; ``None`` in memory.
        project_name: Its name; ``None`` in memory.
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
        pruner: Pruner | None = None,
    ) -> None:
        max_trials, seed = _core.checked_limits(max_trials, seed)
        _core.check_plugins(searcher, pruner)
        self._policy = _core.RetryPolicy(max_retries_per_trial, max_consecutive_failed_trials)
        self._seed_was_given = seed is not None
        self._seed = secrets.randbelow(2**31) if seed is None else seed
        super().__init__(
            create_objective(objective),
            max_trials,
            hyperparameters,
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            seed=self._seed,
        )
        self.searcher: Searcher = searcher if searcher is not None else RandomSearcher()
        self.pruner = pruner
        self.log: Any = structlog.get_logger()
        self.offload: Offloader = ThreadOffloader()
        self.directory: Path | None = None
        self.project_name: str | None = None

    # ── opening ────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def open(
        self,
        directory: str | Path | None = None,
        project_name: str | None = None,
        *,
        overwrite: bool = False,
        allow_shared: bool = False,
        beside: Collection[str] = (),
    ) -> AsyncIterator[Oracle]:
        """Hold a project while the context lasts.

        An existing project is continued: finished trials are kept, unfinished
        ones run again first. The oracle then has that project's trials, and
        none that it had before. Without arguments its trials are kept in memory.

        Args:
            directory: Where projects are; default the working directory.
            project_name: The project's directory; default ``"untitled_project"``.
            overwrite: Discard an existing project.
            allow_shared: Use a directory that is another user's, or that others may write to.
            beside: Files that may be in the directory before there is a project.

        Raises:
            ProjectLocked: Another process holds the project.
            SpaceChanged: It was searched with another objective, oracle, searcher or space.
            JournalCorrupt: Its journal is damaged.
            ProjectError: The directory cannot be used, or belongs to something else.
            ConfigurationError: The name is not a plain name.
        """
        if directory is None and project_name is None:
            await self._continue(Book(self._book.state, MemoryStore()), None)
            yield self
            return
        layout = Layout(directory, project_name)
        store = await open_project(
            layout, overwrite=overwrite, allow_shared=allow_shared, beside=beside
        )
        try:
            state = await self.offload.run("disk", self._opened, store.history())
            await self._continue(Book(state, store), layout)
            yield self
        finally:
            # The closed store stays: it refuses what would be lost from here on.
            with anyio.CancelScope(shield=True):
                await store.aclose()

    async def _continue(self, book: Book, layout: Layout | None) -> None:
        """Go on with a project, after a look at whether this program fits it."""
        state = book.state
        by_searcher = type(self).populate_space is Oracle.populate_space
        now = begun(self, state.seed, asks_searcher=by_searcher)
        check_search(state.search, now)
        self._inherit(book)
        if layout is not None:
            book.announce(self.log)
            self.directory, self.project_name = layout.project_dir.parent, layout.project_dir.name
        if self._seed_was_given and state.seed != self._seed:
            self.log.info(logs.SEED_CONTINUED, seed=state.seed, instead_of=self._seed)
        await self.record(now)
        await self._take_state_back()  # what is adopted may change it
        if layout is not None:
            await adopt_results(self, state, layout)
        await self.record(*_core.take_up(state, self._policy, time.time()))

    # ── asking ─────────────────────────────────────────────────────────────

    async def create_trial(self, tuner_id: str) -> Trial:
        """Return the next trial to run, durable in the project.

        Waits while the algorithm needs results of running trials first.

        Args:
            tuner_id: Who asks; who has a trial that has not ended gets that one again.

        Returns:
            A RUNNING trial; one with status STOPPED if nothing is left to run.

        Raises:
            FatalValueError: The algorithm answers what cannot be an answer.
            InternalError: It answers that the search should wait, with nothing to wait for.
        """
        trial = await self._create(tuner_id)
        await self.record()
        return trial

    async def next_trial(self) -> Trial:
        """Return the next trial for a scheduler, which makes it durable with its first attempt."""
        if type(self).create_trial is Oracle.create_trial:
            return await self._create(None)
        while True:
            changed = self._book.changed
            trial = await settled(self.create_trial(f"slot-{secrets.token_hex(4)}"))
            if not isinstance(trial, Trial):
                raise ConfigurationError(
                    f"{type(self).__name__}.create_trial() must return a Trial; it returned {trial!r}."
                )
            if trial.status is not TrialStatus.IDLE:
                return trial
            await self._wait_for(changed)

    @outside_the_lock
    async def _create(self, tuner_id: str | None) -> Trial:
        book = self._book
        # First without a turn: whoever has it now may wait for the result of this very trial.
        if tuner_id in book.held:
            return book.held[tuner_id]
        async with book.turn:
            if tuner_id in book.held:
                return book.held[tuner_id]
            trial = await self._next()
            if tuner_id is not None and trial.status is TrialStatus.RUNNING:
                book.hold(tuner_id, trial)
            await self._keep_state()
            return trial

    async def _next(self) -> Trial:
        book = self._book
        while True:
            changed = book.changed
            queued = book.next_queued()
            if queued is not None:
                return queued
            if self.remaining_trials() == 0:
                return _core.stopped()
            trial_id = _core.trial_id_of(index := len(self.trials), self.max_trials)
            decision = await self._decide(trial_id, index)
            if isinstance(decision, Proposal):
                return self._created(trial_id, index, decision)
            if isinstance(decision, Exhausted) and not changed.is_set():
                return _core.stopped()
            await self._wait_for(changed)

    async def _wait_for(self, changed: asyncio.Event) -> None:
        if changed.is_set():
            return  # something ended while the answer was being found
        if not self._book.state.unfinished:
            raise InternalError(
                f"{type(self.searcher).__name__} of {type(self).__name__} answered that there is nothing "
                "to run now, although no trial is running, so the search would wait for ever. It must "
                "answer Exhausted() then."
            )
        await changed.wait()

    async def _decide(self, trial_id: str, index: int) -> SearcherDecision:
        state = self._book.state
        if type(self).populate_space is not Oracle.populate_space:
            return decision_of(await settled(self.populate_space(trial_id)))
        if self.searcher.is_heavy:
            propose = self.searcher.propose
            return decision_of(await self.offload.run("searcher", propose, state.frozen(), index))
        return decision_of(self.searcher.propose(state, index))

    async def populate_space(self, trial_id: str) -> SearcherDecision | Mapping[str, Any]:
        """Decide what a new trial should try; override it for an algorithm of your own.

        Args:
            trial_id: The id that the trial will have.

        Returns:
            A :class:`Proposal`, ``Wait()`` or ``Exhausted()``; or, in
            KerasTuner's form, a dict with ``status`` and ``values``. Active
            hyperparameters that it gives no value are drawn at random.
        """
        return self.searcher.propose(self._book.state, len(self.trials))

    def _created(self, trial_id: str, index: int, proposal: Proposal) -> Trial:
        values = dict(proposal.values)
        if type(self).populate_space is not Oracle.populate_space:
            hp = self.hyperparameters.with_values(values)
            hp.unseen = lambda entry: draw(entry, seed=self.seed, index=index, stream=0)
            hp.ensure_active_values()
            values = hp.values
        created = events.TrialCreated(
            trial_id=trial_id,
            index=index,
            values=values,
            stream=proposal.stream if self.tune_new_entries else None,
            budget=dict(proposal.budget),
            at=time.time(),
        )
        self.record(*self._state_for(trial_id), created)
        return self.trials[trial_id]

    # ── telling ────────────────────────────────────────────────────────────

    async def update_trial(
        self, trial_id: str, metrics: Mapping[str, float], step: int = 0
    ) -> Trial:
        """Report a trial's metrics at a step; ``stop_reason`` then says if it should end now, and why.

        Args:
            trial_id: Which trial.
            metrics: Must hold the objective, or all its members.
            step: Epoch or other step.

        Raises:
            ConfigurationError: The objective is missing, or the trial has ended.
            UnknownName: There is no such trial.
        """
        trial = self.get_trial(trial_id)
        numbers = checked_metrics(metrics, self.objective, step)
        self._check_unfinished(trial)
        if trial.attempts == 0:
            self.record(
                events.MetricsReported(trial_id=trial_id, attempt=0, step=step, metrics=numbers)
            )
            if (why := self.judge(trial, step)) is not None:
                self.record(events.TrialPruned(trial_id=trial_id, attempt=0, step=step, reason=why))
        else:
            self._book.state.observe(trial, numbers, step)
        return trial

    async def report_result(self, trial: Trial, metrics: Mapping[str, float], step: int) -> None:
        """Take the result of a finished attempt, before :meth:`end_trial`."""
        if type(self).update_trial is not Oracle.update_trial:
            await settled(self.update_trial(trial.trial_id, metrics, step=step))
        else:
            self._book.state.observe(trial, checked_metrics(metrics, self.objective), step)

    def _check_unfinished(self, trial: Trial) -> None:
        if not self._book.state.is_unfinished(trial):
            raise ConfigurationError(
                f"Trial {trial.trial_id} ended as {trial.status} already; a trial ends once, and nothing "
                "can be reported for it afterwards."
            )

    async def score_trial(self, trial: Trial) -> None:
        """Set ``trial.score`` and ``trial.best_step``; override it to score differently."""
        trial.score, trial.best_step = _core.score_of(trial, self.objective)

    async def end_trial(self, trial: Trial | str, status: TrialStatus | str | None = None) -> None:
        """End a trial, or one attempt of it; it is recorded when this returns.

        A trial with status RUNNING or COMPLETED is scored. One with status
        INVALID, or without a finite score, is run again while retries are left,
        and FAILED otherwise. One with status CANCELLED is run again.

        Args:
            trial: The trial, with its status set; or its id (KerasTuner's old form).
            status: With an id: how it ended.

        Raises:
            ConfigurationError: The trial has ended already, or waits to be run again.
            UnknownName: There is no such trial.
            SearchAborted: ``max_consecutive_failed_trials`` were reached, or every
                proposal of a long row was too large for this host.
        """
        stored = self._stored(trial, status)
        await self.update_space(stored.hyperparameters)
        if stored.status in {TrialStatus.RUNNING, TrialStatus.COMPLETED}:
            await scored(self.score_trial, stored)
        event = _core.conclude(stored, self._policy, time.time())
        stored.reopen()
        commit = self.record(*self._state_for(stored.trial_id), event)
        # Decided now: a trial that ends well while this is being written does not undo it.
        over = self._one_too_many(stored) if isinstance(event, events.TrialEnded) else None
        self._book.let_go(stored)
        if isinstance(event, events.RetryScheduled):
            self.log.warning(logs.TRIAL_RETRY, **_core.told_of_retry(stored, event))
        self._book.wake()
        await commit
        await self._keep_state()
        if over is not None:
            raise over

    def _one_too_many(self, trial: Trial) -> SearchAborted | None:
        try:
            check_consecutive(self._book.state, self._policy, trial)
        except SearchAborted as error:
            return error
        return None

    def _stored(self, trial: Trial | str, status: TrialStatus | str | None) -> Trial:
        """Return the oracle's own trial, with what the caller says of it."""
        stored = self.get_trial(id_of(trial))
        self._check_unfinished(stored)
        if isinstance(trial, str):
            take_status(stored, status)
        elif stored is not trial:
            stored.hyperparameters = trial.hyperparameters
            take_status(stored, trial.status)
            stored.message, stored.failure = trial.message, trial.failure
        return stored
