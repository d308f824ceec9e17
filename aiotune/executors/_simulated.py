"""Plays attempts from a script: no process, and time that only passes on the loop.

Under a loop with virtual time a day of trials takes milliseconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from aiotune.executors._base import Order, SpawnError, WorkerExit, WorkerMessage, WorkSpec

__all__ = ("Script", "SimulatedExecutor")


@dataclass(frozen=True, slots=True)
class Script:
    """What one worker does.

    Attributes:
        says: Pairs of (seconds since the one before, message).
        ends_after: Seconds between the last message and the process's end.
        ending: How the process ends if nobody stops it.
        obeys: Whether it ends at once when it is asked to stop; otherwise
            only when the grace is over.
        spawn_error: If set, no process can be started, for this reason.
        early: What it says, as its last, in place of its next line once it was asked to
            finish early; ``None``: it does not listen.
    """

    says: Sequence[tuple[float, WorkerMessage]] = ()
    ends_after: float = 0.0
    ending: WorkerExit = field(default_factory=lambda: WorkerExit(exit_code=0))
    obeys: bool = True
    spawn_error: str | None = None
    early: WorkerMessage | None = None


class SimulatedExecutor:
    """An executor whose workers follow scripts.

    Args:
        act: Returns the script for an order.

    Attributes:
        launched: Every order, in order of launching.
        live: Workers whose process has not ended.
        peak: Largest number of workers alive at once.
    """

    def __init__(self, act: Callable[[Order], Script]) -> None:
        self._act = act
        self.launched: list[Order] = []
        self.live: set[SimulatedWorker] = set()
        self.peak = 0
        self.closed = False

    async def launch(self, work: WorkSpec) -> SimulatedWorker:
        """Start a scripted worker."""
        script = self._act(work.order)
        if self.closed:
            raise SpawnError("The executor is closed.")
        if script.spawn_error is not None:
            raise SpawnError(script.spawn_error)
        self.launched.append(work.order)
        worker = SimulatedWorker(script, self.live.discard)
        self.live.add(worker)
        self.peak = max(self.peak, len(self.live))
        return worker

    async def aclose(self) -> None:
        """Stop every worker that still lives."""
        self.closed = True
        for worker in list(self.live):
            await worker.stop(grace=0.0)
            await worker.wait()


class SimulatedWorker:
    """One scripted process."""

    def __init__(self, script: Script, on_end: Callable[[SimulatedWorker], None]) -> None:
        self._script, self._on_end = script, on_end
        self._scope = anyio.CancelScope()
        self._kill_at: float | None = None
        self._stopped = False
        self._finish_early = False
        self.dumps = 0

    @property
    def pid(self) -> None:
        """There is no process."""
        return

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        """Say the script's lines at their times, until stopped."""
        for seconds, message in self._script.says:
            if not await self._live_for(seconds):
                return
            if self._finish_early and self._script.early is not None:
                yield self._script.early
                break
            yield message
        await self._live_for(self._script.ends_after)

    async def _live_for(self, seconds: float) -> bool:
        """Let time pass; return whether the process still lives afterwards."""
        if self._stopped and self._script.obeys:
            return False
        with anyio.CancelScope() as self._scope:
            self._apply_deadline()
            await anyio.sleep(seconds)
        return not self._scope.cancelled_caught

    def _apply_deadline(self) -> None:
        if self._kill_at is not None:
            self._scope.deadline = self._kill_at

    def dump(self) -> None:
        """Count how often somebody asked."""
        self.dumps += 1

    async def finish_early(self, reason: str) -> None:
        """Say the script's early line instead of the next."""
        self._finish_early = True

    async def stop(self, *, grace: float) -> None:
        """End at once, or when the grace is over if the script does not obey."""
        self._stopped = True
        end = anyio.current_time() + (0.0 if self._script.obeys else grace)
        self._kill_at = end if self._kill_at is None else min(self._kill_at, end)
        self._apply_deadline()

    async def wait(self) -> WorkerExit:
        """Return the scripted ending, or that of a stopped process."""
        self._on_end(self)
        if self._stopped:
            signal = 15 if self._script.obeys else 9
            return WorkerExit(exit_code=None, signal=signal, stopped=True)
        return self._script.ending
