"""Runs one attempt of one trial: record, launch, listen, reap, conclude."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from aiotune import events, logs
from aiotune.errors import SearchAborted
from aiotune.executors import Executor, SpawnError, Worker, WorkerExit, WorkSpec
from aiotune.failures import FailureKind, TrialFailure
from aiotune.memory import MemoryPeak
from aiotune.scheduler._activity import DeviceWork
from aiotune.scheduler._admission import Admission, Need
from aiotune.scheduler._commands import EndedBy, Launch, StopReason
from aiotune.scheduler._discovered import take_in
from aiotune.scheduler._fatal import rebuild_fatal
from aiotune.scheduler._last_words import printed_last, written_result
from aiotune.scheduler._losses import Losses
from aiotune.scheduler._memory import lessons, with_rung
from aiotune.scheduler._outcomes import (
    Outcome,
    classify,
    not_begun,
    not_started,
    of_another,
    status_after,
)
from aiotune.scheduler._starting import Orders, start_worker
from aiotune.scheduler._verdicts import Verdicts
from aiotune.status import TrialStatus
from aiotune.wire import (
    Discovered,
    DiskPaused,
    Done,
    Failed,
    Hello,
    Probed,
    Report,
    Weighed,
    is_of,
)

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune._devices import Place
    from aiotune._gpu import Lease
    from aiotune._offload import Offloader
    from aiotune.oracles import Oracle
    from aiotune.store import AttemptPaths, Layout
    from aiotune.trial import Trial

__all__ = ("AttemptRunner", "Hooks", "Running")

_TELL_AGAIN = 60.0
_NO_PROCESS = WorkerExit(exit_code=None)


class Hooks(Protocol):
    """What a tuner lets its subclasses do around a trial, in the parent."""

    async def trial_began(self, trial: Trial) -> None: ...
    async def trial_ended(self, trial: Trial, seconds: float) -> None: ...


@dataclass(slots=True)
class Running:
    """One attempt under way; owned by its runner, read by the display.

    Attributes:
        worker: Its worker, from the moment that there is one until it is gone.
        verdicts: Tells it what was decided about it; exists while it is listened to.
        lease: The memory it was given; held until it is reaped.
        need: What was known of its memory.
        pid: Its worker's process, once it has said so.
        peak: The most device memory that it reported.
        driver_bytes: The most that the driver saw it use, if the driver tells.
        device: Whether its devices work.
        ended_by: Set when the scheduler itself ends the attempt.
        stopped: Set with it.
        step: Last reported step, or ``None``.
        reports: How often it has said something.
        metrics: Last reported metrics.
        paused: Seconds that it has waited for space on the disk, this time.
        told: How many those were when the log was told last; ``None`` if it was not.
    """

    trial: Trial
    place: Place
    lease: Lease
    need: Need
    attempt: int
    attempt_id: str
    paths: AttemptPaths
    started: float
    worker: Worker | None = None
    verdicts: anyio.abc.TaskGroup = field(init=False)
    pid: int | None = None
    peak: MemoryPeak | None = None
    driver_bytes: int = 0
    device: DeviceWork = field(default_factory=DeviceWork)
    ended_by: EndedBy | None = None
    stopped: anyio.Event = field(default_factory=anyio.Event)
    grace: float = 0.0
    step: int | None = None
    reports: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    paused: float = 0.0
    told: float | None = None

    async def stop(self, reason: EndedBy, grace: float) -> None:
        """Ask the worker to end, now or as soon as it exists."""
        self.ended_by = self.ended_by or reason
        self.stopped.set()
        self.grace = grace
        if self.worker is not None:
            await self.worker.stop(grace=grace)


class AttemptRunner:
    """Runs attempts; holds what all of them share.

    Attributes:
        observed: What the peaks of its attempts taught, for whoever keeps that beyond the project.
        on_over: Called with an error that must end the search, when it is recorded, and the reason.
        on_steps: Called with a trial, a number of batches and the seconds that they took.
    """

    def __init__(
        self,
        *,
        oracle: Oracle,
        executor: Executor,
        layout: Layout,
        log: Any,
        clock: Clock,
        offload: Offloader,
        hooks: Hooks,
        admission: Admission,
        new_id: Callable[[], str] | None = None,
        prunes: bool = True,
    ) -> None:
        self._oracle, self._executor, self._layout = oracle, executor, layout
        self._log, self._clock, self._offload, self._hooks = log, clock, offload, hooks
        self._new_id = new_id or _ids()
        self._admission = admission
        self.observed: list[events.MemoryObserved] = []
        self.on_over: Callable[[Exception, StopReason], object] = lambda *_: None
        self.on_steps: Callable[[str, int, float], None] = lambda *_: None
        self._orders = Orders(oracle, layout)
        self._verdicts = Verdicts(oracle, log, heard=prunes)
        self._losses = Losses()

    def begin(self, trial: Trial, launch: Launch) -> Running:
        """Give a trial its next attempt, where its lease is."""
        lease, size = launch.lease, launch.need.size
        context = self._admission.context(lease, size.backend if size else None)
        place = self._admission.resources.place(
            lease, neighbours=launch.neighbours, context=context
        )
        attempt = trial.attempts + 1
        attempt_id = f"{trial.trial_id}-{attempt:02d}-{self._new_id()}"
        paths = self._layout.attempt_paths(trial.trial_id, attempt)
        began = self._clock.monotonic()
        return Running(trial, place, lease, launch.need, attempt, attempt_id, paths, began)

    async def run(self, running: Running) -> None:
        """Run an attempt to its recorded end.

        Raises:
            StorageError: The journal cannot be written.
            SpawnError: No process could be started, after several tries.
        """
        trial, lease = running.trial, running.lease
        await self._oracle.record(
            events.AttemptStarted(
                trial_id=trial.trial_id,
                attempt=running.attempt,
                attempt_id=running.attempt_id,
                devices=list(lease.uuids),
                reservation=lease.bytes,
                host_reservation=lease.host_bytes,
                alone=lease.exclusive,
                at=self._clock.now(),
            )
        )
        self._log.info(
            logs.ATTEMPT_STARTED,
            trial=trial.trial_id,
            attempt=running.attempt,
            device=running.place.label,
            reservation=lease.bytes or lease.host_bytes,
            alone=lease.exclusive,
        )
        try:
            await self._hooks.trial_began(trial)
        except Exception as error:
            self._record_end(running, TrialStatus.CANCELLED, not_begun(error))
            raise
        try:
            outcome = await self._outcome(running)
        except SpawnError as error:
            self._record_end(running, TrialStatus.INVALID, not_started(error))
            raise
        # Whoever ends the search is heard before the hook, which may take its time: nothing more is started.
        try:
            await self._conclude(running, outcome)
        except SearchAborted as error:  # it is recorded, and was one too many in a row
            self.on_over(error, StopReason.ABORTED)
        failure = outcome.failure
        if failure is not None and failure.kind is FailureKind.FATAL:
            self.on_over(rebuild_fatal(failure, trial.trial_id), StopReason.FATAL)
        await self._hooks.trial_ended(trial, self._clock.monotonic() - running.started)

    # ── the process ────────────────────────────────────────────────────────

    async def _outcome(self, running: Running) -> Outcome:
        log_path = Path(running.paths.output_log)
        work = WorkSpec(self._orders.of(running), running.attempt_id, log_path)
        worker = await start_worker(
            self._executor, work, self._log, lambda: running.ended_by is None, self._offload
        )
        if worker is None:
            return self._classified(running, None, _NO_PROCESS)
        running.worker, running.started = worker, self._clock.monotonic()
        if running.ended_by is not None:  # the stop came while the process was being made
            await worker.stop(grace=running.grace)
        try:
            last = await self._listen(running, worker)
        except Exception:
            # What it said cannot be recorded. Its lease is free when this is left, so it must be gone.
            await worker.stop(grace=0.0)
            await worker.wait()
            raise
        ending = await worker.wait()
        running.worker = None  # nobody is there any more who could run out of time, or be silent
        if ending.swept:
            self._log.info(logs.PROCESSES_SWEPT, trial=running.trial.trial_id, count=ending.swept)
        if not isinstance(last, Done):  # it may have been written down and lost on its way here
            spool = self._layout.result_file(running.trial.trial_id, running.attempt)
            last = (
                await written_result(
                    spool, running.trial.trial_id, running.attempt_id, self._offload, self._log
                )
                or last
            )
        if last is not None or running.ended_by is not None:
            return self._classified(running, last, ending)
        others = await self._losses.settle(running, ending)
        tail = await printed_last(log_path, self._offload)
        return self._classified(running, last, ending, tail, others)

    async def _listen(self, running: Running, worker: Worker) -> Done | Failed | None:
        error: Exception | None = None
        last = None
        async with anyio.create_task_group() as running.verdicts:
            try:
                last = await self._hear(running, worker)
            except Exception as raised:  # noqa: BLE001 - a task group would put it into a group
                error = raised
            running.verdicts.cancel_scope.cancel()
        if error is not None:
            raise error
        return last

    async def _hear(self, running: Running, worker: Worker) -> Done | Failed | None:
        last: Done | Failed | None = None
        async for message in worker.messages():
            running.reports += 1
            match message:
                case Done() if not is_of(message, running.attempt_id):
                    last = of_another(message)
                case Done() | Failed():
                    last = message
                    running.peak = message.peak or running.peak
                case Report():
                    self._reported(running, message, worker)
                case DiskPaused():
                    self._paused(running, message)
                case Discovered():
                    await take_in(self._oracle, running.trial, message.entries, message.values)
                case Hello(pid=pid):
                    running.pid = pid
                case Probed() | Weighed():
                    pass  # answers to other orders
        return last

    def _classified(
        self,
        running: Running,
        last: Done | Failed | None,
        ending: WorkerExit,
        tail: str = "",
        others: tuple[str, ...] = (),
    ) -> Outcome:
        return classify(
            last,
            ending,
            ended_by=running.ended_by,
            seconds=self._clock.monotonic() - running.started,
            log_path=running.paths.output_log,
            log_tail=tail,
            lost_with=others,
        )

    def _reported(self, running: Running, message: Report, worker: Worker) -> None:
        running.step, running.metrics = message.step, message.metrics
        running.peak = message.peak or running.peak
        if message.batches:
            self.on_steps(running.trial.trial_id, message.batches, message.seconds)
        self._oracle.record(
            events.MetricsReported(
                trial_id=running.trial.trial_id,
                attempt=running.attempt,
                step=message.step,
                metrics=message.metrics,
                execution=message.execution,
            )
        )
        if message.execution == 0:
            self._verdicts.judge(running, message.step, worker)

    def _paused(self, running: Running, message: DiskPaused) -> None:
        """Give a training back the time that it waited for space on the disk, and say so now and then."""
        running.started += message.waited
        running.paused += message.waited
        fields = {"trial": running.trial.trial_id, "path": message.path}
        if message.over:
            self._log.info(logs.TRIAL_GOES_ON, **fields, waited=round(running.paused, 1))
            running.paused, running.told = 0.0, None
        elif running.told is None or running.paused - running.told >= _TELL_AGAIN:
            running.told = running.paused
            self._log.warning(logs.TRIAL_WAITS, **fields, free_bytes=message.free)

    # ── the end ────────────────────────────────────────────────────────────

    async def _conclude(self, running: Running, outcome: Outcome) -> None:
        trial, done = running.trial, outcome.done
        failure = with_rung(running, outcome.failure, self._admission)
        status = TrialStatus.COMPLETED if done is not None else status_after(failure)
        if outcome.lost_with:
            status = TrialStatus.CANCELLED  # not its fault, however often: it does not count
        self._record_end(running, status, failure, done.peak_host_bytes if done else None)
        learned = lessons(running, failure, self._admission)
        self.observed += learned
        self._oracle.record(*learned)
        if done is not None:
            await take_in(self._oracle, trial, done.entries, done.values)
            trial.executions, trial.files = done.executions, done.files
            await self._oracle.report_result(trial, done.metrics, done.best_step)
            trial.status = TrialStatus.COMPLETED
            await self._oracle.end_trial(trial)
            return
        assert failure is not None
        trial.failure = failure
        trial.message = failure.traceback or failure.summary()
        if failure.kind in {FailureKind.CANCELLED, FailureKind.FATAL}:
            # Unfinished, not failed: when the search is taken up again, with
            # the cause mended, this trial runs again.
            return
        trial.status = status
        await self._oracle.end_trial(trial)
        if failure.kind is FailureKind.TERMINATED:
            fields = {"trial": trial.trial_id, "signal": failure.signal, "lost": trial.lost}
            others = ", ".join(outcome.lost_with) or "none"
            self._log.warning(logs.TRIAL_TERMINATED, **fields, others=others)

    def _record_end(
        self,
        running: Running,
        status: TrialStatus,
        failure: TrialFailure | None,
        peak_host_bytes: int | None = None,
    ) -> None:
        self._oracle.record(
            events.AttemptEnded(
                trial_id=running.trial.trial_id,
                attempt=running.attempt,
                attempt_id=running.attempt_id,
                outcome=status,
                failure=failure,
                duration=self._clock.monotonic() - running.started,
                peak_host_bytes=peak_host_bytes,
                peak=running.peak,
                driver_bytes=running.driver_bytes,
                at=self._clock.now(),
            )
        )


def _ids() -> Callable[[], str]:
    """Return what makes ids that are unique over the life of a project."""
    of_this_run, count = secrets.token_hex(4), itertools.count()
    return lambda: f"{of_this_run}{next(count):x}"
