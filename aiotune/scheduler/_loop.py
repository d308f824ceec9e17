"""Performs what the core decides.

::

    search()                                   cancelled? asks for a stop, waits, re-raises
      └─ outer task group
           └─ machine  (shielded; once stopping, with a deadline)
                └─ inner task group
                     ├─ ticker      4 times a second: display, logs, time limits, interrupts
                     ├─ propose     one task a request, cancelled by a stop
                     └─ attempt     one task a running attempt; owns its worker until it is reaped

Tasks post stimuli; the core answers with commands; performing a command only
starts a task or sets a flag, so the core is never entered twice at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

import anyio

from aiotune import logs
from aiotune.errors import AiotuneError, SearchAborted
from aiotune.scheduler._attempts import AttemptRunner, Running
from aiotune.scheduler._commands import (
    AttemptConcluded,
    CancelProposals,
    Command,
    Finish,
    Launch,
    ProposalEnded,
    Propose,
    Stimulus,
    StopAttempt,
    StopReason,
    StopRequested,
    TrialProposed,
)
from aiotune.scheduler._core import SchedulerCore
from aiotune.scheduler._fatal import rebuild_fatal
from aiotune.scheduler._outcomes import EndedBy
from aiotune.status import TrialStatus

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune._devices import SlotPlan
    from aiotune.oracles import Oracle

__all__ = ("SearchLoop", "Timing")


@dataclass(frozen=True, slots=True)
class Timing:
    """The loop's times, in seconds.

    Attributes:
        grace: How long a worker may take to end after a stop, before it is killed.
        fatal_grace: The same after a FatalError, when nobody wants to wait.
        trial_timeout: Longest life of an attempt; ``None``: no limit.
        tick: Period of the ticker.
        shutdown: How long everything may take beyond the grace before it is abandoned.
    """

    grace: float = 10.0
    fatal_grace: float = 0.5
    trial_timeout: float | None = None
    tick: float = 0.25
    shutdown: float = 10.0


class SearchLoop:
    """One search, from its first proposal to its last reaped worker.

    Args:
        core: Decides.
        oracle: Proposes and records.
        runner: Runs attempts.
        plan: The slots that the core's numbers stand for.
        log: Takes events.
        clock: Tells the time.
        timing: Times.
        on_tick: Called by the ticker, for the display.
    """

    def __init__(
        self,
        *,
        core: SchedulerCore,
        oracle: Oracle,
        runner: AttemptRunner,
        plan: SlotPlan,
        log: Any,
        clock: Clock,
        timing: Timing,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._core, self._oracle, self._runner, self._plan = core, oracle, runner, plan
        self._log, self._clock, self._timing, self._on_tick = log, clock, timing, on_tick
        self.running: dict[str, Running] = {}
        self._inbox: deque[Stimulus] = deque()
        self._draining = False
        self._proposals: set[anyio.CancelScope] = set()
        self._error: BaseException | None = None
        self._tasks: anyio.abc.TaskGroup

    async def run(self) -> None:
        """Run the search to its end.

        Raises:
            FatalError: A trial raised it; every worker is gone.
            SearchAborted: Too many trials failed in a row.
            AiotuneError: The tuner itself cannot go on.
        """
        self._finished = anyio.Event()
        self._shield = anyio.CancelScope(shield=True)
        async with anyio.create_task_group() as outer:
            outer.start_soon(self._machine)
            try:
                await self._finished.wait()
            except anyio.get_cancelled_exc_class():
                self._log.warning(logs.SEARCH_INTERRUPTED, running=len(self.running))
                self.stop(StopReason.CANCELLED, self._timing.grace)
                with anyio.CancelScope(shield=True):
                    await self._finished.wait()
                raise
        if self._error is not None:
            raise self._error

    @property
    def end(self) -> str:
        """Why the search ended: ``"finished"``, or the reason of its stop."""
        stop = self._core.stopping
        return "finished" if stop is None else stop.reason.value

    def stop(self, reason: StopReason, grace: float) -> None:
        """Ask for the end of the search; it has ended when :meth:`run` returns or raises."""
        self._log.info(logs.SEARCH_STOPPING, reason=reason.value, running=len(self.running))
        self._shield.deadline = anyio.current_time() + grace + self._timing.shutdown
        self._post(StopRequested(reason, grace))

    # ── the machine ────────────────────────────────────────────────────────

    async def _machine(self) -> None:
        try:
            with self._shield:
                async with anyio.create_task_group() as self._tasks:
                    self._tasks.start_soon(self._tick)
                    self._perform_all(self._core.start())
                    await self._finished.wait()
                    self._tasks.cancel_scope.cancel()
            if self._shield.cancelled_caught and not self._core.finished:
                self._log.error(logs.SHUTDOWN_ABANDONED, running=sorted(self.running))
        finally:
            # Also when the deadline of a stop cut it short: what is left over
            # dies with the executor, whose keepers hang on this process.
            self._finished.set()

    def _post(self, stimulus: Stimulus) -> None:
        self._inbox.append(stimulus)
        if self._draining:  # an eager task posted while its own command was performed
            return
        self._draining = True
        try:
            while self._inbox and not self._core.finished:
                self._perform_all(self._core.handle(self._inbox.popleft()))
        finally:
            self._draining = False

    def _perform_all(self, commands: list[Command]) -> None:
        for command in commands:
            self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case Propose():
                self._tasks.start_soon(self._propose)
            case CancelProposals():
                for scope in list(self._proposals):
                    scope.cancel()
            case Launch(trial_id, slot):
                running = self._runner.begin(self._oracle.trials[trial_id], self._plan.slots[slot])
                self.running[trial_id] = running
                self._tasks.start_soon(self._attempt, running)
            case StopAttempt(trial_id, grace):
                self._tasks.start_soon(self.running[trial_id].stop, EndedBy.SEARCH_STOPPED, grace)
            case Finish():
                self._finished.set()
            case _:
                assert_never(command)

    # ── the tasks ──────────────────────────────────────────────────────────

    async def _propose(self) -> None:
        trial = None
        with anyio.CancelScope() as scope:
            self._proposals.add(scope)
            try:
                trial = await self._oracle.next_trial()
            except Exception as error:  # noqa: BLE001 - the user's oracle may raise anything
                self._fail(error)
            finally:
                self._proposals.discard(scope)
        if trial is None or trial.status is TrialStatus.STOPPED:
            self._post(ProposalEnded())
        else:
            self._post(TrialProposed(trial.trial_id))

    async def _attempt(self, running: Running) -> None:
        trial_id = running.trial.trial_id
        requeued = False
        try:
            failure = await self._runner.run(running)
            if failure is not None:
                self._fail(rebuild_fatal(failure, trial_id), StopReason.FATAL)
            requeued = running.trial.status is TrialStatus.QUEUED
        except SearchAborted as error:
            self._fail(error, StopReason.ABORTED)
        except Exception as error:  # noqa: BLE001 - reported once, by run()
            self._fail(error)
        del self.running[trial_id]
        self._post(AttemptConcluded(trial_id, requeued))

    def _fail(self, error: Exception, reason: StopReason = StopReason.ERROR) -> None:
        """End the search with an error; the first one is raised, later ones become its notes."""
        if self._error is not None:
            if str(error) != str(self._error):
                self._error.add_note(f"Also: {type(error).__name__}: {error}")
            return
        self._error = error
        known = isinstance(error, AiotuneError) or reason is StopReason.FATAL
        self._log.error(
            logs.SEARCH_FAILED,
            reason=reason.value,
            error_type=type(error).__name__,
            error_message=str(error),
            exc_info=None if known else error,
        )
        grace = self._timing.fatal_grace if reason is StopReason.FATAL else self._timing.grace
        self.stop(reason, grace)

    async def _tick(self) -> None:
        while True:
            await anyio.sleep(self._timing.tick)
            self._on_tick()
            self._enforce_time_limit()

    def _enforce_time_limit(self) -> None:
        limit = self._timing.trial_timeout
        if limit is None:
            return
        now = self._clock.monotonic()
        for running in self.running.values():
            if running.ended_by is None and now - running.started > limit:
                running.ended_by = EndedBy.TIME_LIMIT
                self._log.warning(logs.TRIAL_TIMEOUT, trial=running.trial.trial_id, limit=limit)
                self._tasks.start_soon(running.stop, EndedBy.TIME_LIMIT, self._timing.grace)
