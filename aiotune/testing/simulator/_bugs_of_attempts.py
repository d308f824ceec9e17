"""Bugs of results, of attempts and of the scheduler."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from aiotune._gpu import LeaseLedger
from aiotune.executors import WorkerExit, WorkSpec
from aiotune.oracles import Oracle, _core
from aiotune.oracles._book import Book
from aiotune.scheduler import AttemptRunner, SchedulerCore, SearchLoop, StopReason, _attempts
from aiotune.scheduler._commands import EndedBy, Finish, StopRequested
from aiotune.scheduler._starting import start_worker
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement
from aiotune.wire import Done, read_result
from aiotune_gpu import ledger as _ledger

__all__ = ()


# ── results ────────────────────────────────────────────────────────────────


@bug("a result is thrown away since its process died afterwards")
def _result_of_the_dead_dropped() -> tuple[Replacement, ...]:
    def make(classify: Any) -> Any:
        def strict(last: Any, ending: WorkerExit, **rest: Any) -> Any:
            return classify(last if ending.exit_code == 0 else None, ending, **rest)

        return strict

    return instead(_attempts, "classify", make)


@bug("a trial is given the result of the one before it")
def _result_of_another() -> tuple[Replacement, ...]:
    def make(report: Any) -> Any:
        async def crossed(self: Any, trial: Any, metrics: Any, step: int) -> None:
            before = self.__dict__.get("_result_before", metrics)
            self.__dict__["_result_before"] = metrics
            await report(self, trial, before, step)

        return crossed

    return instead(Oracle, "report_result", make)


@bug("NaN is a score like any other")
def _nan_is_a_score() -> tuple[Replacement, ...]:
    return instead(_core, "_unusable_score", lambda _: lambda _: None)


@bug("a result that was written down and not sent is not looked for")
def _spool_ignored_when_not_sent() -> tuple[Replacement, ...]:
    return instead(AttemptRunner, "_outcome", lambda _: _outcome(reads=False))


# ── attempts ───────────────────────────────────────────────────────────────


@bug("every attempt of a trial is its first")
def _attempts_not_counted() -> tuple[Replacement, ...]:
    def make(begin: Any) -> Any:
        def first(self: Any, trial: Any, launch: Any) -> Any:
            running = begin(self, trial, launch)
            running.attempt = 1
            return running

        return first

    return instead(AttemptRunner, "begin", make)


@bug("an attempt has the name of an earlier one")
def _attempt_ids_repeat() -> tuple[Replacement, ...]:
    def make(begin: Any) -> Any:
        def named(self: Any, trial: Any, launch: Any) -> Any:
            running = begin(self, trial, launch)
            running.attempt_id = f"{trial.trial_id}-same"
            return running

        return named

    return instead(AttemptRunner, "begin", make)


def _outcome(
    *, waits: bool = True, reads: bool = True, reaps: bool = True, starts: bool = True
) -> Any:
    """Return what runs an attempt, with one part of it left out."""

    async def outcome(self: Any, running: Any) -> Any:
        log_path = Path(running.paths.output_log)
        work = WorkSpec(self._orders.of(running), running.attempt_id, log_path)
        worker = await start_worker(
            self._executor, work, self._log, lambda: running.ended_by is None, self._offload
        )
        if worker is None:
            return self._classified(running, None, _attempts._NO_PROCESS)  # noqa: SLF001 - as it does
        running.worker = worker
        if starts:
            running.started = self._clock.monotonic()
        try:
            last = await self._listen(running, worker)
        except Exception:
            if reaps:
                await worker.stop(grace=0.0)
                await worker.wait()
            raise
        ending = await worker.wait() if waits else WorkerExit(exit_code=0)
        if reads and not isinstance(last, Done):
            spool = self._layout.result_file(running.trial.trial_id, running.attempt)
            last = read_result(spool, attempt_id=running.attempt_id) or last
        return self._classified(running, last, ending)

    return outcome


@bug("a lease is given back before the process is gone")
def _lease_released_before_reap() -> tuple[Replacement, ...]:
    return instead(AttemptRunner, "_outcome", lambda _: _outcome(waits=False))


@bug("a worker is left alone when what it says cannot be recorded")
def _not_reaped_after_an_error() -> tuple[Replacement, ...]:
    return instead(AttemptRunner, "_outcome", lambda _: _outcome(reaps=False))


@bug("the time of an attempt begins when a process is wanted, not when there is one")
def _time_begins_too_early() -> tuple[Replacement, ...]:
    return instead(AttemptRunner, "_outcome", lambda _: _outcome(starts=False))


@bug("an attempt that is stopped before it has a process is cancelled, whatever stopped it")
def _stopped_before_it_began() -> tuple[Replacement, ...]:
    def make(classified: Any) -> Any:
        def cancelled(self: Any, running: Any, last: Any, ending: Any, tail: str = "") -> Any:
            if ending is _attempts._NO_PROCESS:  # noqa: SLF001 - the bug is in there
                running.ended_by = EndedBy.SEARCH_STOPPED
            return classified(self, running, last, ending, tail)

        return cancelled

    return instead(AttemptRunner, "_classified", make)


@bug("processes are still tried to be started when the search stops")
def _started_while_stopping() -> tuple[Replacement, ...]:
    def make(start: Any) -> Any:
        return lambda executor, work, log, _, offload: start(
            executor, work, log, lambda: True, offload
        )

    return instead(_attempts, "start_worker", make)


# ── the scheduler ──────────────────────────────────────────────────────────


@bug("a FatalError does not end the search")
def _fatal_ignored() -> tuple[Replacement, ...]:
    def make(fail: Any) -> Any:
        def deaf(self: Any, error: Any, reason: StopReason = StopReason.ERROR) -> None:
            if reason is not StopReason.FATAL:
                fail(self, error, reason)

        return deaf

    return instead(SearchLoop, "_fail", make)


@bug("a stop does not reach the attempts that run")
def _stop_reaches_nobody() -> tuple[Replacement, ...]:
    def stop(self: Any, stimulus: StopRequested, _: list[Any]) -> None:
        self.stopping = self.stopping or stimulus

    return instead(SchedulerCore, "_stop", lambda _: stop)


@bug("a retry does not make the scheduler ask again")
def _retry_wakes_nobody() -> tuple[Replacement, ...]:
    def make(concluded: Any) -> Any:
        return lambda self, stimulus: concluded(self, dataclasses.replace(stimulus, requeued=False))

    return instead(SchedulerCore, "_concluded", make)


@bug("the search ends although trials are ready")
def _ends_too_early() -> tuple[Replacement, ...]:
    def make(settle: Any) -> Any:
        def hasty(self: Any, commands: list[Any]) -> list[Any]:
            done: list[Any] = settle(self, commands)
            busy = self.running or self.proposing or self.weighing or self.rejecting
            if self.dry and self.ready and not busy and not self.finished:
                self.finished = True
                done.append(Finish(None))
            return done

        return hasty

    return instead(SchedulerCore, "_settle", make)


@bug("a lease is never given back")
def _lease_kept() -> tuple[Replacement, ...]:
    return instead(LeaseLedger, "release", lambda _: lambda *_: None)


@bug("what was promised is not taken off what is free")
def _promised_twice() -> tuple[Replacement, ...]:
    account = _ledger._Account  # noqa: SLF001 - the bug is in there
    return instead(account, "available", lambda _: property(lambda self: self.capacity))


@bug("a device that is out of order is used on")
def _quarantine_ignored() -> tuple[Replacement, ...]:
    return instead(LeaseLedger, "close", lambda _: lambda *_: None)


@bug("who waits for the end of a trial is not told of it")
def _nobody_is_woken() -> tuple[Replacement, ...]:
    return instead(Book, "wake", lambda _: lambda _: None)
