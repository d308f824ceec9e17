"""Asks something of a process without a GPU, and does not wait for the answer for ever.

Weighing and probing run the user's program. One that dead-locks in native code says nothing, does
not end, and cannot be asked why: so its stacks are written to its log, and its process is ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from aiotune._offload import Overdue as LateLook
from aiotune.executors import Executor, Worker, WorkerExit, WorkSpec
from aiotune.failures import FailureKind
from aiotune.scheduler import _activity
from aiotune.scheduler._activity import Activity
from aiotune.scheduler._losses import lost_again
from aiotune.wire import Discovered, Failed, Probed, Weighed

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune._offload import Offloader
    from aiotune.scheduler._patience import Limits

__all__ = ("PROBING", "WEIGHING", "Answer", "Deadlines", "Inquirer", "Overdue")

Answer = Weighed | Probed | Failed

_LEAST_CPU, _LEAST_SHARE = 1.0, 0.02
"""CPU seconds that are a sign of life, and as a share of the deadline where that is short. Not less:
a Python thread that waits for the interpreter, which native code holds, looks 200 times a second."""
_LOOKS, _LONGEST_PERIOD, _GAP = 10, 5.0, 2.0
_QUIET = 5.0
"""Seconds after which a process that uses no CPU needs no core kept for it."""
_DUMP = 0.5
_LOOKING = 10.0
"""Seconds that a look at a process and its log may take."""
_END = 5.0
"""Seconds that a killed process may take to go; one that takes longer is left to the executor."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an answer may take, in seconds.

    A build on a loaded machine takes minutes, and uses the CPU meanwhile; one that is
    dead-locked does not.

    Attributes:
        silent: Without a sign of life.
        total: In all.
    """

    silent: float
    total: float

    def within(self, limits: Limits) -> Deadlines:
        """Return these, and nothing longer than what an attempt is allowed."""
        return Deadlines(
            self.silent if limits.stall is None else min(self.silent, limits.stall),
            self.total if limits.trial is None else min(self.total, limits.trial),
        )

    @property
    def period(self) -> float:
        """Seconds between two looks for signs of life."""
        return min(_LONGEST_PERIOD, self.silent / _LOOKS, self.total / _LOOKS)


WEIGHING = Deadlines(silent=60.0, total=600.0)
"""A trial that is not weighed only runs alone, so there is no use in waiting for long."""
PROBING = Deadlines(silent=60.0, total=1800.0)
"""The model is built once for each conditional scope."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """That there was no answer in time.

    Attributes:
        seconds: How long it was waited for.
        why: What was the matter, in words that follow the name of a process.
        stacks: The beginning of the stacks of all its threads.
        ended: Whether the process is gone; it may be stuck in the kernel.
    """

    seconds: float
    why: str
    stacks: str
    ended: bool = True


class Inquirer:
    """Asks.

    Args:
        executor: Starts the processes.
        deadlines: How long an answer may take.
        clock: Tells the time.
        offload: Looks at ``/proc`` and at files.
    """

    def __init__(
        self, executor: Executor, deadlines: Deadlines, clock: Clock, offload: Offloader
    ) -> None:
        self._executor, self._deadlines = executor, deadlines
        self._clock, self._offload = clock, offload

    async def ask(
        self,
        work: WorkSpec,
        *,
        owns_log: bool = False,
        on_quiet: Callable[[], None] = lambda: None,
        on_discovered: Callable[[Discovered], None] = lambda _: None,
    ) -> Answer | WorkerExit | Overdue:
        """Ask, and see to it that the process is gone afterwards, however this ends.

        Args:
            work: The order.
            owns_log: Whether nobody else writes to its log, so that output is a sign of life.
            on_quiet: Called, maybe more than once, when it uses no CPU for some seconds.
            on_discovered: Told of hyperparameters that it names before its answer.

        Returns:
            The answer; how the process ended without one; or that it did neither in time.

        Raises:
            SpawnError: No process could be started.
        """
        tries, found = 0, await self._ask(work, owns_log, on_quiet, on_discovered)
        while await _says_nothing(found, tries := tries + 1):
            again = replace(work, attempt_id=f"{work.attempt_id}-{tries}")
            found = await self._ask(again, owns_log, on_quiet, on_discovered)
        return found

    async def _ask(
        self,
        work: WorkSpec,
        owns_log: bool,
        on_quiet: Callable[[], None],
        on_discovered: Callable[[Discovered], None],
    ) -> Answer | WorkerExit | Overdue:
        worker = await self._executor.launch(work)
        asked = _Asked(worker, work.log_path, self._deadlines, self._clock, self._offload)
        asked.owns_log, asked.on_quiet = owns_log, on_quiet
        try:
            found = await asked.answer(on_discovered)
        except BaseException:  # a stop, above all
            await _end(worker)
            raise
        if asked.overdue is None:
            return found
        ended = await _end(worker)
        return replace(found, ended=ended) if isinstance(found, Overdue) else found


@dataclass(slots=True)
class _Asked:
    """One process at work on an answer."""

    worker: Worker
    log: Path
    deadlines: Deadlines
    clock: Clock
    offload: Offloader
    owns_log: bool = False
    on_quiet: Callable[[], None] = lambda: None
    said: Answer | None = None
    overdue: Overdue | None = None

    async def answer(
        self, on_discovered: Callable[[Discovered], None]
    ) -> Answer | WorkerExit | Overdue:
        error: Exception | None = None
        ending: WorkerExit | None = None
        with anyio.CancelScope() as patience:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, patience)
                try:
                    ending = await self._hear(on_discovered)
                except Exception as raised:  # noqa: BLE001 - a task group would put it into a group
                    error = raised
                group.cancel_scope.cancel()
        if error is not None:
            raise error
        found = self.said or ending or self.overdue
        assert found is not None
        return found

    async def _hear(self, on_discovered: Callable[[Discovered], None]) -> WorkerExit:
        async for message in self.worker.messages():
            if isinstance(message, (Weighed, Probed, Failed)):
                self.said = message
            elif isinstance(message, Discovered):
                on_discovered(message)
        return await self.worker.wait()

    async def _watch(self, patience: anyio.CancelScope) -> None:
        """Look for signs of life until one of the deadlines has passed."""
        period = self.deadlines.period
        began = alive = self.clock.monotonic()
        seen = found = await self._measure(Activity(0.0, 0))
        before = self.clock.monotonic()
        while True:
            await anyio.sleep(period)
            now = self.clock.monotonic()
            if (gap := now - before - period) > _GAP:
                # This program, or the machine, stood still, and so may the process have.
                began, alive = began + gap, alive + gap
            found = await self._measure(found)
            before = self.clock.monotonic()  # a disk that is slow to show its log is no standstill
            if self._shows_life(seen, found):
                alive, seen = now, found
            if now - alive >= min(_QUIET, self.deadlines.silent):
                self.on_quiet()
            if (why := self._too_long(now - alive, now - began)) is not None:
                break
        self.worker.dump()
        await anyio.sleep(_DUMP)
        read, stacks = _activity.read_from, ""
        with contextlib.suppress(LateLook):  # they are in the log, for when it can be read
            stacks = await self.offload.run(
                "watch", read, str(self.log), found.output_bytes, deadline=_LOOKING
            )
        self.overdue = Overdue(now - began, why, stacks)
        patience.cancel()

    def _too_long(self, silent: float, total: float) -> str | None:
        if silent >= self.deadlines.silent:
            return f"showed no sign of life for {silent:.0f} s"
        if total >= self.deadlines.total:
            return f"had no answer after {total:.0f} s"
        return None

    def _shows_life(self, seen: Activity, found: Activity) -> bool:
        least = min(_LEAST_CPU, _LEAST_SHARE * self.deadlines.silent)
        computed = found.cpu_seconds - seen.cpu_seconds >= least
        return computed or (self.owns_log and found.output_bytes != seen.output_bytes)

    async def _measure(self, last: Activity) -> Activity:
        measure = _activity.measure_activity
        try:
            return await self.offload.run(
                "watch", measure, self.worker.pid, str(self.log), deadline=_LOOKING
            )
        except LateLook:
            return last


async def _says_nothing(found: Answer | WorkerExit | Overdue, tries: int) -> bool:
    """Whether to ask again: it was ended by others, or no fork can answer, and the next is not forked."""
    if isinstance(found, WorkerExit):
        return await lost_again(found, tries)
    refused = isinstance(found, Failed) and found.failure.kind is FailureKind.FORK_REFUSED
    return refused and tries == 1


async def _end(worker: Worker) -> bool:
    """Kill a process; return whether it is gone. A stop waits for it, and no longer than is of use."""
    with anyio.move_on_after(_END, shield=True) as patience:
        await worker.stop(grace=0.0)
        await worker.wait()
    return not patience.cancelled_caught
