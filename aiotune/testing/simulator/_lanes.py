"""Calls that hang, of the GPUs' driver and of a file server, in a life of the tuner; and who must not wait for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aiotune._offload import InlineOffloader, Offloader, ThreadOffloader
from aiotune.scheduler import Running, SchedulerCore
from aiotune.scheduler._commands import (
    AttemptConcluded,
    Command,
    DeviceBack,
    DeviceBroke,
    Finish,
    Launch,
    Stimulus,
)
from aiotune.testing.simulator._devices import SimDevices
from aiotune.testing.simulator._faults import LANES, Fault
from aiotune.testing.simulator._processes import SimWorker
from aiotune.testing.simulator._threads import Threads
from aiotune.testing.simulator._world import World
from aiotune_gpu import DeviceFault, DeviceHealth, DeviceMemory, DeviceProcess, DriverHangs
from aiotune_gpu.fake import FakeProvider

if TYPE_CHECKING:
    from aiotune.failures import TrialFailure

__all__ = ("Lanes", "WatchedCore")

T = TypeVar("T")
_DEADLINE = 2.0
_HANGS, _SLOW, _SLOW_FOR, _STUCK, _DISK = (3.0, 60.0, 400.0), 1.5, 30.0, 300.0, (20.0, 50.0)
_CONCLUDES, _MARGIN, _AGAIN, _LINGERS = 1.0, 0.5, 500.0, 2.5


class Lanes:
    """What the lanes of one life suffer, and the parts that suffer it.

    Args:
        world: Theirs.
        threads: Those of this life.
        devices: What there is, and what the driver would say if it answered.

    Attributes:
        sleeping: How many threads hang now.
        answered: When a question was put that a device has answered, by UUID.
        stopped: When a stop was asked for last, and the seconds that workers have.
    """

    def __init__(self, world: World, threads: Threads, devices: SimDevices) -> None:
        self._world, self._threads, self._devices = world, threads, devices
        self.troubled = bool(world.plan.among(LANES))
        self.sleeping = 0
        self.answered: dict[str, float] = {}
        self.stopped: tuple[float, float] | None = None
        self._hangs: dict[str, float] = {}
        self._waited_for: set[str] = set()
        self._slow = self._stuck = self._disk = 0.0

    # ── the parts ──────────────────────────────────────────────────────────

    def offloader(self) -> Offloader:
        """Return one with threads where anything can hang, and else a quick one."""
        return _Troubled(self) if self.troubled else InlineOffloader()

    def suffer(self, fault: Fault, live: Iterable[SimWorker]) -> None:
        """Let something hang from now on, or die with the processes that are there."""
        world, now = self._world, self._world.monotonic()
        numbers = world.plan.numbers("lanes", world.life, now)
        uuids = sorted(device.uuid for device in self._devices.provider.present)
        if fault is Fault.DISK_HANGS:
            self._disk = now + numbers.choice(_DISK)
        elif not uuids:
            return
        elif fault is Fault.DEVICE_DIES:
            self._die(numbers.choice(uuids), live)
            return
        elif fault is Fault.DRIVER_HANGS:
            self._hangs[numbers.choice(uuids)] = now + numbers.choice(_HANGS)
        elif fault is Fault.DRIVER_SLOW:
            self._slow = now + _SLOW_FOR
        else:
            self._stuck = now + _STUCK
        world.strike(fault, "lanes")

    def _die(self, uuid: str, live: Iterable[SimWorker]) -> None:
        if uuid in self._devices.lost:
            return
        self._world.strike(Fault.DEVICE_DIES, "lanes", uuid)
        self._devices.lost.add(uuid)
        self._devices.provider.lose(uuid)
        for worker in [worker for worker in live if uuid in worker.devices]:
            worker.break_off()

    def stop(self, shutdown: float, grace: float) -> None:
        """Take note of a stop; ``on_stop`` of a search."""
        self.stopped = (self._world.monotonic(), grace + shutdown)

    # ── in a thread ────────────────────────────────────────────────────────

    def file(self, function: Callable[..., T], *args: object) -> T:
        """Call what is about a file, when the disk comes back."""
        self._sleep(self._disk - self._world.monotonic())
        return function(*args)

    def ask(self, uuid: str, function: Callable[[str], T]) -> T:
        """Ask a device as the product's provider does, which waits two seconds for it, once."""
        if not self.troubled:
            return function(uuid)
        began = self._world.monotonic()
        self._sleep(self._stuck - began)
        if self._hangs.get(uuid, 0.0) > self._world.monotonic():
            if uuid not in self._waited_for:
                self._waited_for.add(uuid)
                self._sleep(_DEADLINE)
            raise DriverHangs("A simulated call does not return.")
        self._waited_for.discard(uuid)
        if self._slow > began:
            self._sleep(_SLOW)
        answer = function(uuid)
        # Threads that nobody waits for any more come back, too, and in any order.
        self.answered[uuid] = max(began, self.answered.get(uuid, began))
        return answer

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.sleeping += 1
            self._threads.sleep(seconds)
            self.sleeping -= 1

    # ── what must hold ─────────────────────────────────────────────────────

    def ends_in_time(self) -> None:
        """Check that a stop has ended the search within the time that it has."""
        if self.stopped is None or self._is_excused:
            return
        at, allowed = self.stopped
        took = self._world.monotonic() - at
        if took > allowed + _LINGERS:
            self._world.wrong("I44", f"the end took {took:.1f} s, and has {allowed:.1f} s")

    @property
    def _is_excused(self) -> bool:
        return self._world.dead or bool(self._world.struck[Fault.SUSPENDED])


class HangingProvider:
    """Asks a fake provider, which answers if the lanes let it."""

    def __init__(self, lanes: Lanes, provider: FakeProvider) -> None:
        self._lanes, self._provider = lanes, provider
        self.devices, self.close = provider.devices, provider.close

    def memory(self, uuid: str) -> DeviceMemory:
        """Return a device's memory."""
        return self._lanes.ask(uuid, self._provider.memory)

    def processes(self, uuid: str) -> Sequence[DeviceProcess]:
        """Return the processes on a device."""
        return self._provider.processes(uuid)

    def health(self, uuid: str) -> DeviceHealth:
        """Return how a device is."""
        return self._provider.health(uuid)

    def faults(self, timeout: float) -> Sequence[DeviceFault]:
        """Return what has happened."""
        return self._provider.faults(timeout)


class _Troubled(ThreadOffloader):
    """The product's own, with threads on virtual time and a disk that may hang."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__()
        self._of = lanes

    async def run(
        self,
        lane: str,
        function: Callable[..., T],
        *args: object,
        deadline: float | None = None,
        what: str = "",
    ) -> T:
        """Run a function in a thread on virtual time."""
        if lane == "disk":
            call: Callable[..., T] = partial(self._of.file, function)
            return await super().run(lane, call, *args, deadline=deadline, what=what)
        return await super().run(lane, function, *args, deadline=deadline, what=what)


class WatchedCore(SchedulerCore):
    """The product's core, with a witness to what it is told and decides.

    Attributes:
        lanes: Know when devices have answered.
        world: Takes what is wrong.
    """

    lanes: Lanes
    world: World

    def watched(self, lanes: Lanes, world: World) -> WatchedCore:
        """Begin to watch."""
        self.lanes, self.world = lanes, world
        self._returned: dict[str, float] = {}
        self._left_at: dict[str, float] = {}
        self._out: dict[str, float] = {}
        return self

    def timing(
        self, run: Callable[[Running], Awaitable[TrialFailure | None]]
    ) -> Callable[[Running], Awaitable[TrialFailure | None]]:
        """Return what notes when an attempt has come to its recorded end."""

        async def timed(running: Running) -> Any:
            try:
                return await run(running)
            finally:
                self._returned[running.trial.trial_id] = self.world.monotonic()

        return timed

    def handle(self, stimulus: Stimulus) -> list[Command]:
        """Take in what happened."""
        now = self.world.monotonic()
        match stimulus:
            case AttemptConcluded(trial_id):
                self._ended(trial_id, now)
            case DeviceBroke(uuid):
                if now - self._out.get(uuid, -_AGAIN) < _AGAIN:
                    self.world.wrong("I43", f"{uuid} is put out of use, and is out of use")
                self._out.setdefault(uuid, now)
            case DeviceBack(uuid):
                self._out.pop(uuid, None)
            case _:
                pass
        commands = super().handle(stimulus)
        for command in commands:
            match command:
                case Launch():
                    self._is_fresh(command)
                case Finish():
                    self.lanes.stop(0.0, 0.0)  # nothing is left that anybody has to wait for
                case _:
                    pass
        return commands

    def _ended(self, trial_id: str, now: float) -> None:
        waited = now - self._returned.get(trial_id, now)
        if waited > _CONCLUDES and not self.world.struck[Fault.SUSPENDED]:
            self.world.wrong("I41", f"the end of {trial_id} waited {waited:.1f} s for the driver")
        for uuid in self.running[trial_id].uuids:
            self._left_at[uuid] = now

    def _is_fresh(self, launch: Launch) -> None:
        if not self.lanes.troubled or self.world.struck[Fault.SUSPENDED]:
            return
        for uuid in launch.lease.uuids:
            since = self._left_at.get(uuid)
            if since is None or self.lanes.answered.get(uuid, 0.0) >= since - _MARGIN:
                continue
            self.world.wrong(
                "I42",
                f"{launch.trial_id} is put on {uuid}, which has not answered since a trial ended",
            )
