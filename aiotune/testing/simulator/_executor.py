"""The executor of a simulated tuner, and the processes that fork its workers."""

from __future__ import annotations

import errno
import os

import anyio

from aiotune.executors import SpawnError, WorkSpec
from aiotune.executors._nurseries import Nurseries, NurseryLost
from aiotune.executors._trust import not_its_fault, refuses_forks
from aiotune.scheduler._activity import Activity
from aiotune.testing.simulator._faults import SPAWN, Fault
from aiotune.testing.simulator._processes import Crowd, SimWorker
from aiotune.wire import Failed, NurseryReady, RunAttempt

__all__ = ("SimExecutor", "SimNursery")

_HOPELESS_LIVES, _HOPELESS = 2, 0.2
_NO_LOG = 0.5
"""How often not even an empty file can be made on a full disk."""
_SOON = 0.5
_STRIKES = (Fault.NURSERY_DIES, Fault.NURSERY_STOPPED)


class SimNursery:
    """A process that forks workers, until it dies or is stopped.

    Args:
        crowd: Shared by all processes of a life.
        troubled: Attempts that have met a fault of a nursery; they are forked by the next one.
    """

    def __init__(self, crowd: Crowd, troubled: set[str]) -> None:
        self._crowd, self._world, self._troubled = crowd, crowd.world, troubled
        self.pid = 1
        self.alive = self._answers = True
        self.info: NurseryReady | None = None
        self._end = anyio.Event()

    async def begin(self) -> None:
        """Begin: nothing that could go wrong is simulated here."""

    async def ready(self) -> NurseryReady:
        """Have imported everything at once."""
        self.info = NurseryReady(
            pid=self.pid, imported={}, loaded=[], import_seconds=0.0, threads=1
        )
        return self.info

    async def fork(self, work: WorkSpec) -> None:
        """Answer, if it can.

        Raises:
            NurseryLost: It has died.
        """
        fault = self._world.plan.strikes(_STRIKES, "nursery", work.attempt_id)
        if fault is not None and work.attempt_id not in self._troubled and self._answers:
            self._troubled.add(work.attempt_id)
            self._world.strike(fault, "nursery", work.attempt_id)
            self._answers = False
            if fault is Fault.NURSERY_DIES:
                self._world.running.call_later(_SOON, self._die)
        if not self._answers:
            await self._end.wait()
            raise NurseryLost("Simulated: it has died.")

    def _die(self) -> None:
        self.alive = self._answers = False
        self._end.set()

    async def last_words(self, what: str) -> str:
        """Return a sentence."""
        return f"Simulated: the process that forks workers {what}."

    async def aclose(self) -> None:
        """End, and let nobody wait."""
        self._die()


class SimExecutor:
    """Starts simulated processes, where the faults of the plan let it.

    Whom it asks for them is the product's own: :class:`Nurseries`, over simulated ones.

    Attributes:
        live: Processes that are not gone, in the order of their start.
    """

    def __init__(self, crowd: Crowd) -> None:
        self._crowd, self._world = crowd, crowd.world
        self._tries: dict[str, int] = {}
        self._nurseries = Nurseries(self._new_nursery, self._say)
        self._troubled: set[str] = set()
        self._fresh = False
        self.live: dict[SimWorker, None] = {}

    def _new_nursery(self) -> SimNursery:
        return SimNursery(self._crowd, self._troubled)

    def _say(self, level: str, event: str, **fields: object) -> None:
        self._world.say("tuner", event)

    async def launch(self, work: WorkSpec) -> SimWorker:
        """Start a process on an order.

        Raises:
            SpawnError: The plan wants it so.
        """
        if isinstance(work.order, RunAttempt) and not self._world.dead:
            self._crowd.witness.asked(work.attempt_id)
        await self._trouble(work)
        if self._world.dead:
            await self._world.running.create_future()  # a dead tuner starts nothing
        await self._nurseries.ask(lambda nursery: nursery.fork(work))
        if self._world.dead:
            await self._world.running.create_future()
        worker = self._started(work)
        self.live[worker] = None
        if worker.career.fault is not None:
            self._world.strike(worker.career.fault, "worker", work.attempt_id)
        self._world.say("worker", f"{work.attempt_id} starts as process {worker.pid}")
        self._crowd.witness.launched(worker)
        return worker

    def _started(self, work: WorkSpec) -> SimWorker:
        plan, world = self._world.plan, self._world
        key = ("poison", world.life)
        poisoned = plan.strikes((Fault.FORK_REFUSED,), *key) is not None and not self._fresh
        # As often as not: it tells something only of the few that are killed for another reason.
        numbers = plan.numbers("foreign kill", work.attempt_id)
        if Fault.FOREIGN_OOM_KILL in plan.faults and numbers.random() < plan.rate * 2:
            world.running.call_later(_SOON, self._kill_another)
        return SimWorker(
            self._crowd,
            work,
            self.live,
            review=self._review if not self._fresh else lambda failed: failed,
            is_poisoned=poisoned and isinstance(work.order, RunAttempt),
        )

    def _kill_another(self) -> None:
        self._world.strike(Fault.FOREIGN_OOM_KILL, "host")
        self._crowd.kills.kill_another()

    def _review(self, failed: Failed) -> Failed:
        """Take a refusal as the product's executor does."""
        if not refuses_forks(failed.failure):
            return failed
        self._fresh = True
        return not_its_fault(failed)

    async def _trouble(self, work: WorkSpec) -> None:
        numbers = self._world.plan.numbers("log", work.attempt_id)
        if self._crowd.disk.is_full() and numbers.random() < _NO_LOG:
            raise SpawnError("Simulated: the output log cannot be opened.") from OSError(
                errno.ENOSPC, os.strerror(errno.ENOSPC)
            )
        fault = self._world.plan.strikes(SPAWN, "spawn", work.attempt_id)
        tries = self._tries[work.attempt_id] = self._tries.get(work.attempt_id, 0) + 1
        if fault is Fault.SLOW_SPAWN and tries == 1:
            self._world.strike(fault, "nursery", work.attempt_id)
            await anyio.sleep(10.0)
        fails = {
            Fault.SPAWN_FAILS: tries == 1,
            Fault.SPAWN_FAILS_OFTEN: tries <= 3,  # noqa: PLR2004 - one try less than are made
            Fault.SPAWN_NEVER: self._world.life < _HOPELESS_LIVES
            and self._world.plan.numbers("never", work.attempt_id).random() < _HOPELESS,
        }
        if fault is not None and fails.get(fault, False):
            self._world.strike(fault, "nursery", work.attempt_id)
            raise SpawnError(f"Simulated: {fault.value}.")

    def measure(self, pid: int, output_log: str) -> Activity:
        """Return what a process has done so far, as a look into ``/proc`` and at its log does."""
        return next((w.activity() for w in self.live if w.pid == pid), Activity(0.0, 0))

    async def aclose(self) -> None:
        """Kill whatever still lives, and wait for it."""
        for worker in list(self.live):
            await worker.stop(grace=0.0)
        for worker in list(self.live):
            await worker.wait()
        await self._nurseries.aclose()
