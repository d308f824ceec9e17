"""Performs what the core decides.

::

    search()                                   cancelled? asks for a stop, waits, re-raises
      └─ outer task group
           └─ machine  (shielded; once stopping, with a deadline)
                └─ inner task group
                     ├─ ticker      4 times a second: display, logs, time limits, interrupts
                     ├─ watch       once a second: memory and health of devices and host
                     ├─ patience    now and then: signs of life of the attempts
                     ├─ propose     one task a request, cancelled by a stop
                     ├─ weigh       one task a trial to be weighed, cancelled by a stop
                     └─ attempt     one task a running attempt; owns its worker until it is reaped

Tasks post stimuli; the core answers with commands; performing a command only
starts a task or sets a flag, so the core is never entered twice at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

import anyio

from aiotune import logs
from aiotune._offload import ThreadOffloader
from aiotune.errors import AiotuneError, SearchAborted
from aiotune.failures import FailureKind, TrialFailure
from aiotune.scheduler._admission import Need
from aiotune.scheduler._attempts import AttemptRunner, Running
from aiotune.scheduler._claiming import Claiming
from aiotune.scheduler._commands import (
    AttemptConcluded,
    CancelProposals,
    Command,
    EndedBy,
    Finish,
    Launch,
    LimitSharing,
    MemoryMeasured,
    PlaceTaken,
    ProposalEnded,
    Propose,
    Reject,
    StepsTimed,
    Stimulus,
    StopAttempt,
    StopReason,
    StopRequested,
    TrialDropped,
    TrialProposed,
    TrialWeighed,
    Weigh,
)
from aiotune.scheduler._core import SchedulerCore
from aiotune.scheduler._fatal import forgotten
from aiotune.scheduler._patience import Patience
from aiotune.scheduler._quarantine import Quarantine
from aiotune.scheduler._timing import Timing
from aiotune.scheduler._watch import DeviceWatch
from aiotune.scheduler._weigher import Weigher, known_need
from aiotune.status import TrialStatus

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune._offload import Offloader
    from aiotune.oracles import Oracle
    from aiotune.trial import Trial

__all__ = ("SearchLoop",)


class SearchLoop:
    """One search, from its first proposal to its last reaped worker.

    Args:
        core: Decides.
        oracle: Proposes and records.
        runner: Runs attempts.
        weigher: Weighs trials; only asked if the core weighs.
        watch: Looks at devices and host.
        log: Takes events.
        clock: Tells the time.
        timing: Times.
        on_tick: Called by the ticker, for the display.
        on_stop: Told of each request to stop, with the seconds that workers have to end.
        before_proposal: Awaited before the oracle is asked for a trial.
        offload: Looks for signs of life, if the limits ask for them.
    """

    def __init__(
        self,
        *,
        core: SchedulerCore,
        oracle: Oracle,
        runner: AttemptRunner,
        weigher: Weigher,
        watch: DeviceWatch,
        log: Any,
        clock: Clock,
        timing: Timing,
        on_tick: Callable[[], None] = lambda: None,
        on_stop: Callable[[float], None] = lambda _: None,
        before_proposal: Callable[[], Awaitable[None]] | None = None,
        offload: Offloader | None = None,
    ) -> None:
        self._core, self._oracle, self._runner = core, oracle, runner
        self._weigher, self._watch = weigher, watch
        runner.on_over = self._fail
        runner.on_steps = lambda *timed: self._post(StepsTimed(*timed))
        self._log, self._clock, self._timing, self._on_tick = log, clock, timing, on_tick
        self._before_proposal, self._on_stop = before_proposal, on_stop
        self.running: dict[str, Running] = {}
        offload = offload or ThreadOffloader()
        self._patience = Patience(
            timing.limits, self.running, clock, log, offload, self._end_attempt
        )
        self._quarantine = Quarantine(
            core.admission,
            oracle,
            self.running,
            log,
            clock,
            post=self._post,
            fail=self._fail_with,
        )
        self._claiming = Claiming(core.admission.resources.claims, offload, log)
        self._inbox: deque[Stimulus] = deque()
        self._draining = False
        # In the order in which they began: by address, no two runs would end them alike.
        self._proposals: dict[anyio.CancelScope, None] = {}
        self._turn = anyio.Lock()
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
                grace = self._timing.grace
                self._log.warning(logs.SEARCH_INTERRUPTED, running=len(self.running), grace=grace)
                self.stop(StopReason.CANCELLED, grace)
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
        if self._finished.is_set():
            return  # a signal that comes while the project is being closed
        self._log.info(logs.SEARCH_STOPPING, reason=reason.value, running=len(self.running))
        self._shield.deadline = anyio.current_time() + grace + self._timing.shutdown
        self._on_stop(grace)
        self._post(StopRequested(reason, grace))

    # ── the machine ────────────────────────────────────────────────────────

    async def _machine(self) -> None:
        try:
            with self._shield:
                async with anyio.create_task_group() as self._tasks:
                    self._tasks.start_soon(self._tick)
                    self._tasks.start_soon(self._patience.watch)
                    if self._watch.is_needed:
                        await self._look_once()  # nothing is given out before it is known
                        self._tasks.start_soon(self._look)
                    self._perform_all(self._core.start())
                    await self._finished.wait()
                    self._tasks.cancel_scope.cancel()
            if self._shield.cancelled_caught and not self._core.finished:
                self._log.error(logs.SHUTDOWN_ABANDONED, running=sorted(self.running))
        finally:
            # Also when the deadline of a stop cut it short: what is left over
            # dies with the executor, whose keepers hang on this process.
            with anyio.CancelScope(shield=True):
                await self._claiming.close()
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
            case Propose(request):
                self._tasks.start_soon(self._propose, request)
            case CancelProposals():
                for scope in list(self._proposals):
                    scope.cancel()
            case Weigh(trial_id, known):
                self._tasks.start_soon(self._weigh, trial_id, known)
            case Reject(trial_id, reason):
                self._tasks.start_soon(self._reject, trial_id, reason)
            case Launch(trial_id):
                running = self._runner.begin(self._oracle.trials[trial_id], command)
                self.running[trial_id] = running
                self._tasks.start_soon(self._attempt, running, self._core.admission.ledger.known)
            case StopAttempt(trial_id, grace, why):
                self._tasks.start_soon(self.running[trial_id].stop, why, grace)
            case LimitSharing(uuid, most, reason):
                self._log.info(logs.SHARING_LIMITED, device=uuid, most=most, reason=reason)
            case Finish(reason):
                self._error = self._error or (None if reason else forgotten(self._oracle))
                self._finished.set()
            case _:
                assert_never(command)

    # ── the tasks ──────────────────────────────────────────────────────────

    async def _propose(self, request: int) -> None:
        trial = None
        with anyio.CancelScope() as scope:
            self._proposals[scope] = None
            try:
                trial = await self._next_trial()
            except Exception as error:  # noqa: BLE001 - the user's oracle may raise anything
                self._fail(error)
            finally:
                self._proposals.pop(scope, None)
        if trial is None or trial.status is TrialStatus.STOPPED:
            self._post(ProposalEnded(request))
        else:
            self._post(TrialProposed(trial.trial_id, known_need(trial)))

    async def _next_trial(self) -> Trial:
        if self._before_proposal is None:
            return await self._oracle.next_trial()
        async with self._turn:  # what it is called before is one proposal, not two
            await self._before_proposal()
            return await self._oracle.next_trial()

    async def _weigh(self, trial_id: str, known: Need | None) -> None:
        need = None
        with anyio.CancelScope() as scope:
            self._proposals[scope] = None
            try:
                need = await self._weigher.weigh(self._oracle.trials[trial_id], known)
            except Exception as error:  # noqa: BLE001 - reported once, by run()
                self._fail_with(error)
            finally:
                self._proposals.pop(scope, None)
        self._post(TrialDropped(trial_id) if need is None else TrialWeighed(trial_id, need))

    async def _reject(self, trial_id: str, reason: str) -> None:
        failure = TrialFailure(kind=FailureKind.OVERSIZED, message=reason)
        trial = self._oracle.trials[trial_id]
        try:
            await self._weigher.reject(trial, failure)
        except Exception as error:  # noqa: BLE001 - reported once, by run()
            self._fail_with(error)
        self._post(TrialDropped(trial_id))

    async def _attempt(self, running: Running, known: frozenset[str]) -> None:
        trial_id = running.trial.trial_id
        if others := await self._claiming.claim(running.lease, known):
            del self.running[trial_id]
            self._post(PlaceTaken(trial_id, running.need, others))
            return
        requeued = False
        try:
            await self._runner.run(running)
            requeued = running.trial.status in {TrialStatus.QUEUED, TrialStatus.REJECTED}
        except Exception as error:  # noqa: BLE001 - reported once, by run()
            self._fail_with(error)
        # Asked after the process's end and before its lease is given to another:
        # a driver may take a moment to free what a killed process had.
        # One that does not at once is not waited for, and gets nobody else until it has answered.
        findings = await self._watch.look(self.running, only=running.lease.uuids)
        await self._claiming.withdraw(running.lease)
        del self.running[trial_id]
        self._quarantine.hold(findings)
        self._post(AttemptConcluded(trial_id, requeued, findings.measured))
        self._quarantine.take(findings)

    def _fail_with(self, error: Exception) -> None:
        aborted = isinstance(error, SearchAborted)
        self._fail(error, StopReason.ABORTED if aborted else StopReason.ERROR)

    def _fail(self, error: Exception, reason: StopReason = StopReason.ERROR) -> None:
        """End the search with an error; the first one is raised, later ones become its notes."""
        if self._error is not None:
            both_aborted = isinstance(error, SearchAborted) and type(error) is type(self._error)
            if not both_aborted and str(error) != str(self._error):
                self._error.add_note(f"Also: {type(error).__name__}: {error}")
            return
        self._error = error
        known = isinstance(error, AiotuneError) or reason is StopReason.FATAL
        message, _, details = str(error).partition("\n")
        self._log.error(
            logs.SEARCH_FAILED,
            reason=reason.value,
            error_type=type(error).__name__,
            error_message=message,
            details=details or None,  # for the file; people see them in the traceback
            exc_info=None if known else error,
        )
        grace = self._timing.fatal_grace if reason is StopReason.FATAL else self._timing.grace
        self.stop(reason, grace)

    async def _tick(self) -> None:
        while True:
            await anyio.sleep(self._timing.tick)
            self._on_tick()
            self._patience.tick()

    def _end_attempt(self, running: Running, reason: EndedBy) -> None:
        self._tasks.start_soon(running.stop, reason, self._timing.grace)

    async def _look(self) -> None:
        stuck = False
        while True:
            await anyio.sleep(self._timing.watch)
            await self._look_once()
            if self._core.is_stuck and not stuck:
                self._log.warning(logs.WAITING_FOR_MEMORY, reason=self._core.waits_for)
            stuck = self._core.is_stuck

    async def _look_once(self) -> None:
        findings = await self._watch.look(self.running)
        claims = await self._claiming.others()
        self._quarantine.hold(findings)
        self._post(MemoryMeasured(replace(findings.measured, claims=claims)))
        self._quarantine.take(findings)
