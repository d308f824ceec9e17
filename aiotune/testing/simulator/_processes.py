"""Simulated worker processes."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import assert_never

import anyio

from aiotune.executors import WorkerExit, WorkSpec
from aiotune.executors._base import WorkerMessage
from aiotune.executors._process import unreadable
from aiotune.scheduler._activity import Activity
from aiotune.testing.simulator._careers import career_of, refused
from aiotune.testing.simulator._deeds import (
    Career,
    Compiles,
    Deed,
    Ends,
    Hangs,
    Saves,
    Says,
    ShutsUp,
    Waits,
    WritesDown,
)
from aiotune.testing.simulator._devices import SimDevices
from aiotune.testing.simulator._disk import SimDisk
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._host import Kills
from aiotune.testing.simulator._witness import Witness
from aiotune.testing.simulator._world import World
from aiotune.wire import (
    Discovered,
    DiskPaused,
    Done,
    Failed,
    FrameError,
    FrameReader,
    FromWorker,
    Hello,
    Probed,
    Report,
    RunAttempt,
    RunProbe,
    RunWeighing,
    Weighed,
    encode,
)
from aiotune.worker._oom_kills import OomKills

__all__ = ("Crowd", "SimWorker", "Witness")

_LINGER = 5.0
_FIRST_PID = 1 << 30  # beyond what a kernel gives out, so that no real process is meant
_KILLED, _TERMINATED = 9, 15
_LOOKS_FOR_ROOM, _PATIENCE = 5.0, 3600.0
_STACKS = 4_000
"""Bytes that the stacks of all threads take in a log."""


@dataclass(slots=True)
class Crowd:
    """What all processes of one life share."""

    world: World
    disk: SimDisk
    devices: SimDevices
    witness: Witness
    kills: Kills = field(default_factory=Kills)
    pids: int = _FIRST_PID

    def next_pid(self) -> int:
        """Return a number for a process."""
        self.pids += 1
        return self.pids


class SimWorker:
    """A process that follows its career whether or not anybody listens.

    Args:
        crowd: Shared by all.
        spec: What it is to do.
        on_end: Where it is until it is gone.
        review: Says what a failure that it reports is to be taken for.
        is_poisoned: Whether its back end does not work, since it was forked.
    """

    def __init__(
        self,
        crowd: Crowd,
        spec: WorkSpec,
        on_end: dict[SimWorker, None],
        *,
        review: Callable[[Failed], Failed],
        is_poisoned: bool,
    ) -> None:
        assert not isinstance(spec.order, RunProbe)
        self.order: RunAttempt | RunWeighing = spec.order
        self.attempt_id, self.pid = spec.attempt_id, crowd.next_pid()
        self.devices = _devices_of(self.order)
        self._crowd, self._world, self._live = crowd, crowd.world, on_end
        self._reader = FrameReader[FromWorker](FromWorker)
        self._inbox: deque[WorkerMessage] = deque()
        self._news = anyio.Event()
        self._gone = anyio.Event()
        self._exit: WorkerExit | None = None
        self._muted = self._concluded = self._stopped = self.has_spoken = False
        saved = crowd.disk.saved_epochs(spec.order) if isinstance(spec.order, RunAttempt) else 0
        self.career: Career = (
            refused(self.pid)
            if is_poisoned
            else career_of(crowd.world.plan, self.order, self.pid, saved)
        )
        self._review, self.kills = review, OomKills()
        self.oom_before = crowd.kills.of_ours
        self._next = iter(self.career.deeds)
        self._timer: asyncio.TimerHandle | None = None
        self._reports = self._dumps = 0
        self._began = self._world.monotonic()
        self.hangs_since: float | None = None
        self.spins = False
        self._waited = self.stood_still = 0.0
        self._asked_early = False
        self._advance()

    @property
    def is_attempt(self) -> bool:
        """Whether it runs a trial, and does not only weigh one."""
        return isinstance(self.order, RunAttempt)

    @property
    def hears_sigterm(self) -> bool:
        """Whether it lives, and ends of SIGTERM."""
        return self._exit is None and self.career.obeys and not self._stopped

    def hear_sigterm(self) -> None:
        """End of SIGTERM that somebody else has sent."""
        if self.hears_sigterm:
            self._end(WorkerExit(exit_code=None, signal=_TERMINATED, stopped=self._stopped))

    @property
    def is_gone(self) -> bool:
        """Whether the process and all that it started have ended."""
        return self._exit is not None

    @property
    def idles_since(self) -> float | None:
        """When it began to hang, and its devices, which others may share, not to work."""
        if self.hangs_since is None or not self.spins:
            return self.hangs_since
        return max(self.hangs_since, self._crowd.devices.worked_until(self.devices))

    @property
    def reports(self) -> int:
        """How many epochs it has reported."""
        return self._reports

    @property
    def lacked_memory(self) -> bool:
        """Whether the kernel has killed a process of the search for want of memory since it began."""
        return self._crowd.kills.of_ours > self.oom_before

    @property
    def trained(self) -> float:
        """Seconds that it has lived without waiting for the disk."""
        return self._world.monotonic() - self._began - self.stood_still

    def devices_have(self) -> dict[str, int]:
        """Return all memory of each of its devices."""
        present = self._crowd.devices.provider.present
        return {d.uuid: d.total_bytes for d in present if d.uuid in self.devices}

    def may_outlive(self, grace: float) -> bool:
        """Whether a search that gives up may leave it: it is in a driver, or has just begun."""
        return self.career.kill_takes >= 1 or self.trained < grace + 1

    def activity(self) -> Activity:
        """Return what can be seen of it from outside: it computes until it hangs."""
        computes = self.hangs_since is None or self.spins
        until = self._world.monotonic() if computes else (self.hangs_since or 0.0)
        return Activity(until - self._began, _STACKS * self._dumps)

    def break_off(self) -> None:
        """Die at once, by SIGBUS."""
        self._end(WorkerExit(exit_code=None, signal=signal.SIGBUS))

    # ── the process itself ─────────────────────────────────────────────────

    def _advance(self) -> None:
        deed = next(self._next, None)
        if deed is not None:
            self._timer = self._world.running.call_later(deed.after, self._do, deed)

    def _do(self, deed: Deed) -> None:
        if self._exit is not None or self._world.dead:
            return
        match deed.what:
            case Says(data=data, message=message):
                self._reports += isinstance(message, Report)
                self.has_spoken |= not isinstance(message, (Report, Hello, Discovered))
                self._hear(data)
            case Saves(epochs):
                if not self._save(epochs):
                    self._timer = self._world.running.call_later(_LOOKS_FOR_ROOM, self._do, deed)
                    return
            case WritesDown(done):
                self.has_spoken = True
                self._write_down(done)
            case Hangs():
                self._hang("hangs")
            case Waits():
                self.spins = True
                if self.devices or not self.is_attempt:  # on the CPU, to compute is to live
                    self._hang("waits, spinning")
            case Compiles():
                self._crowd.devices.rest(self.pid)
            case ShutsUp():
                self._muted = self.has_spoken = True
                self._news.set()
            case Ends(ending):
                self._end(ending)
            case _:
                assert_never(deed.what)
        self._advance()

    def _hang(self, how: str) -> None:
        self.hangs_since = self._world.monotonic()
        self._crowd.devices.rest(self.pid)
        self._world.say("worker", f"{self.attempt_id} {how}")

    def _save(self, epochs: int) -> bool:
        """Save the state of the training; return whether it goes on, which it does not without space."""
        assert isinstance(self.order, RunAttempt)
        waited, saved = self._waited, self._crowd.disk.save(self.order, epochs)
        over = saved or waited >= _PATIENCE
        self._waited = 0.0 if over else waited + _LOOKS_FOR_ROOM
        if waited or not over:
            path, now = f"{self.order.trial_dir}/resume.json", _LOOKS_FOR_ROOM if waited else 0.0
            self.stood_still += now
            self._hear(encode(DiskPaused(path=path, free=-1, waited=now, over=over)))
        if over and self._asked_early:
            self._finish()
        return over

    def _write_down(self, done: Done) -> None:
        assert isinstance(self.order, RunAttempt)
        on_disk = self._crowd.disk.write_down(self.order, done)
        self._crowd.witness.computed(self, done, on_disk=on_disk)
        how = "wrote its result down" if on_disk else "has a result, and no space for it"
        self._world.say("worker", f"{self.attempt_id} {how}")

    def _end(self, ending: WorkerExit) -> None:
        if self._exit is not None or self._world.dead:
            return
        if ending.oom_kills:
            self._crowd.kills.kill_ours()
        if ending.signal == _KILLED:  # as its keeper does
            ending = replace(ending, oom_kills=self.kills.so_far())
        self._exit = ending
        self._live.pop(self, None)
        fault = self._world.plan.strikes(
            (Fault.MEMORY_LATE, Fault.MEMORY_LEAKED), "memory", self.attempt_id
        )
        self._crowd.devices.give_back(self.pid, fault)
        how = f"signal {ending.signal}" if ending.signal else f"code {ending.exit_code}"
        self._world.say("worker", f"{self.attempt_id} is gone, {how}")
        self._crowd.witness.ended(self)
        self._gone.set()
        self._news.set()

    # ── its channel ────────────────────────────────────────────────────────

    def _hear(self, data: bytes) -> None:
        if self._muted:
            return
        try:
            self._inbox.extend(self._reader.feed(data))
            if self._reader.error is not None:
                raise self._reader.error
        except FrameError as error:
            self._inbox.append(unreadable(error))
            self._muted = True
            self._kill()
        if self.devices and (self._inbox or not data):
            self._crowd.devices.take(self.pid, self.devices, self.career.takes)
        self._news.set()

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        """Yield what arrives, up to the final message or the end of the channel."""
        while not self._concluded:
            while not self._inbox:
                if self._muted or self._exit is not None:
                    return
                self._news = anyio.Event()
                await self._news.wait()
            message = self._inbox.popleft()
            self._concluded = isinstance(message, (Done, Failed, Probed, Weighed))
            self._crowd.witness.heard(self, message)
            yield self._review(message) if isinstance(message, Failed) else message

    async def finish_early(self, reason: str) -> None:
        """Let the training end after its next batch, if it has epochs left."""
        if self._world.dead:
            return
        self._world.say("tuner", f"asks {self.attempt_id} to finish early: {reason}")
        self._crowd.witness.finishes_early(self)
        self._asked_early = True
        if not self._waited and self._timer is not None and self._finish():
            self._timer.cancel()
            self._advance()

    def _finish(self) -> bool:
        """End the training after its next batch; return whether there is one."""
        early = self.career.early
        if early is None or self._reports >= self.career.trains:
            return False
        self._next = iter(early(self._reports))
        return True

    def dump(self) -> None:
        """Let stacks be written to the log, which grows by it."""
        if not self._world.dead:
            self._dumps += 1
            self._world.say("tuner", f"wants the stacks of {self.attempt_id}")

    # ── its keeper ─────────────────────────────────────────────────────────

    async def stop(self, *, grace: float) -> None:
        """End at once, or when the grace is over if it does not obey."""
        if self._exit is not None or self._world.dead:
            return
        self._stopped = True
        self._world.say("tuner", f"stops {self.attempt_id} within {grace:g} s")
        if self.career.obeys and grace > 0:
            ending = WorkerExit(exit_code=None, signal=_TERMINATED, stopped=True)
            self._world.running.call_later(0.05, self._end, ending)
        else:
            self._world.running.call_later(grace, self._kill)

    def _kill(self) -> None:
        ending = WorkerExit(exit_code=None, signal=_KILLED, stopped=self._stopped)
        self._world.running.call_later(self.career.kill_takes, self._end, ending)

    async def wait(self) -> WorkerExit:
        """Return when it is gone; who has said all it had to say is not waited for long."""
        with anyio.move_on_after(_LINGER if self._concluded else None):
            await self._gone.wait()
        if self._exit is None:
            self._kill()
            await self._gone.wait()
        assert self._exit is not None
        return self._exit

    def __repr__(self) -> str:
        return f"SimWorker({self.attempt_id})"


def _devices_of(order: RunAttempt | RunWeighing) -> tuple[str, ...]:
    if isinstance(order, RunWeighing):
        return ()
    listed = order.environment.get("CUDA_VISIBLE_DEVICES", "")
    return tuple(uuid for uuid in listed.split(",") if uuid.startswith("GPU-"))
