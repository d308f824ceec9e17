"""How long attempts may take, and how long they may show no sign of life.

A dead process is known at once, by its pidfd. Whether a living one gets anywhere is
another question: it does while it reports epochs, prints, or uses the CPU. On a GPU it is the GPU
that has to work: who waits for a driver, or for another process, often spins on the CPU. Compiling a
model, or a batch that takes ten minutes, is no fault; so the answer is a warning with the stacks of
all threads, and an end only if the user has set one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from aiotune import logs
from aiotune._offload import Overdue
from aiotune.scheduler import _activity
from aiotune.scheduler._attempts import Running
from aiotune.scheduler._commands import EndedBy

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune._offload import Offloader
    from aiotune.scheduler._activity import Activity

__all__ = ("Limits", "Patience")

_LEAST_CPU, _LEAST_SHARE = 1.0, 0.02
"""CPU seconds that are a sign of life, and as a share of the limit where that is short: on a
machine with more trials than cores each gets but a part of one."""
_LOOKS = 10
_LONGEST_PERIOD = 10.0
_GAP = 2.0
_BEGINNING, _BEGINNING_TIMES = 600.0, 10.0
"""Seconds, and as a multiple of the limit, for which a trial on a GPU may only use the CPU before its
first epoch: XLA compiles for minutes. Afterwards what uses the CPU alone may be a wait that spins."""
_LOOKING = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an attempt's time, in seconds; ``None``: no limit.

    Attributes:
        trial: Longest life.
        stall_warn: After that long without a sign of life its stacks are written to its log.
        stall: After that long without one it is ended.
    """

    trial: float | None = None
    stall_warn: float | None = None
    stall: float | None = None

    @property
    def period(self) -> float | None:
        """Seconds between two looks for signs of life; ``None``: nobody looks."""
        known = [limit for limit in (self.stall_warn, self.stall) if limit is not None]
        return min(_LONGEST_PERIOD, *(limit / _LOOKS for limit in known)) if known else None


@dataclass(slots=True)
class _Sign:
    """When an attempt last showed a sign of life, and what it had done by then."""

    attempt_id: str
    at: float
    sure_at: float  # of a sign other than CPU time
    reports: int
    device_looks: int
    activity: Activity
    warned: bool = False


@dataclass(slots=True)
class Patience:
    """Watches the time of running attempts.

    Attributes:
        limits: How long is too long.
        running: The attempts, by trial; another's, read here.
        clock: Tells the time; it goes on while this program is stopped (Ctrl-Z).
        log: Takes warnings.
        offload: Looks at ``/proc`` and at files.
        end: Ends an attempt.
        measure: Returns what an attempt has done; not on the loop.
        read: Returns what a log holds from a place on; likewise.
    """

    limits: Limits
    running: Mapping[str, Running]
    clock: Clock
    log: Any
    offload: Offloader
    end: Callable[[Running, EndedBy], None]
    measure: Callable[[int | None, str], Activity] | None = None
    read: Callable[[str, int], str] | None = None
    _signs: dict[str, _Sign] = field(default_factory=dict)
    _ticked: float | None = None

    def tick(self) -> None:
        """Enforce the limit of an attempt's life; called several times a second."""
        now = self.clock.monotonic()
        self._notice_gap(now)
        self._ticked = now
        limit = self.limits.trial
        if limit is None:
            return
        for running in list(self.running.values()):
            if running.worker is None:
                continue  # a full disk, or a host that can start nothing, is not the trial's fault
            if running.ended_by is None and now - running.started > limit:
                self.log.warning(logs.TRIAL_TIMEOUT, trial=running.trial.trial_id, limit=limit)
                self._end(running, EndedBy.TIME_LIMIT)

    def _notice_gap(self, now: float) -> None:
        """Give time back: while this program, or the machine, stood still, nothing was heard."""
        if self._ticked is None or now - self._ticked < _GAP:
            return
        gap, self._ticked = now - self._ticked, now
        for running in self.running.values():
            running.started += gap
        for sign in self._signs.values():
            sign.at, sign.sure_at = sign.at + gap, sign.sure_at + gap

    @property
    def _least_cpu(self) -> float:
        """CPU seconds that are a sign of life."""
        known = (self.limits.stall_warn, self.limits.stall)
        return min(_LEAST_CPU, *(_LEAST_SHARE * limit for limit in known if limit is not None))

    async def watch(self) -> None:
        """Look for signs of life for ever; returns at once if nobody wants to know."""
        while (period := self.limits.period) is not None:
            await anyio.sleep(period)
            # After Ctrl-Z this may wake before the ticker does.
            self._notice_gap(self.clock.monotonic())
            for running in list(self.running.values()):
                if running.ended_by is None and running.worker is not None:
                    # One that hangs before it has said its number is not forgotten.
                    known = running.pid is not None
                    with contextlib.suppress(Overdue):  # where its log is nothing can be seen now
                        await self._look(running, running.pid if known else running.worker.pid)
            self._signs = {i: s for i, s in self._signs.items() if i in self.running}

    async def _look(self, running: Running, pid: int | None) -> None:
        activity = await self._measure(running, pid)
        now, trial_id = self.clock.monotonic(), running.trial.trial_id
        sign = self._signs.get(trial_id)
        sure = sign is None or self._is_sure(sign, running, activity)
        if sign is None or sure or self._computes(sign, running, activity, now):
            self._signs[trial_id] = _Sign(
                running.attempt_id,
                now,
                now if sign is None or sure else sign.sure_at,
                running.reports,
                running.device.looks,
                activity,
            )
            return
        idle = now - sign.at
        warn, stall = self.limits.stall_warn, self.limits.stall
        if not sign.warned and idle >= min(w for w in (warn, stall) if w is not None):
            sign.warned = True
            await self._warn(sign, running, activity, idle)
            sign.activity = await self._measure(running, pid)
        if stall is not None and idle >= stall and running.ended_by is None:
            self._end(running, EndedBy.STALLED)

    async def _warn(self, sign: _Sign, running: Running, activity: Activity, idle: float) -> None:
        stacks, log = "", running.paths.output_log
        if running.worker is not None:
            running.worker.dump()
            # The stacks that it prints now are no sign of life.
            await anyio.sleep(0.5)
            read = self.read or _activity.read_from
            stacks = await self.offload.run(
                "watch", read, log, activity.output_bytes, deadline=_LOOKING
            )
        self.log.warning(
            logs.TRIAL_STALLED,
            trial=running.trial.trial_id,
            seconds=round(idle),
            cpu_seconds=round(activity.cpu_seconds - sign.activity.cpu_seconds, 1),
            log=log,
            stacks=stacks,
        )

    def _is_sure(self, sign: _Sign, running: Running, activity: Activity) -> bool:
        return (
            running.attempt_id != sign.attempt_id
            or running.reports != sign.reports
            or running.device.looks != sign.device_looks
            or activity.output_bytes != sign.activity.output_bytes
        )

    def _computes(self, sign: _Sign, running: Running, activity: Activity, now: float) -> bool:
        """Whether an attempt used the CPU, where that is a sign of life."""
        if activity.cpu_seconds - sign.activity.cpu_seconds < self._least_cpu:
            return False
        if not running.lease.uuids or not running.device.is_known(anyio.current_time()):
            return True
        return running.step is None and now - sign.sure_at < self._beginning

    @property
    def _beginning(self) -> float:
        limit = self.limits.stall if self.limits.stall is not None else self.limits.stall_warn
        return max(_BEGINNING, _BEGINNING_TIMES * (limit or 0.0))

    async def _measure(self, running: Running, pid: int | None) -> Activity:
        measure = self.measure or _activity.measure_activity
        return await self.offload.run(
            "watch", measure, pid, running.paths.output_log, deadline=_LOOKING
        )

    def _end(self, running: Running, reason: EndedBy) -> None:
        running.ended_by = reason
        self.end(running, reason)
