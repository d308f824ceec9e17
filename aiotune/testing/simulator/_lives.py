"""The lives of one tuner, from its first start to the end of its search."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import anyio

from aiotune import events
from aiotune._offload import Overdue
from aiotune.errors import DeviceError, FatalError, ProjectLocked, SearchAborted, StorageError
from aiotune.executors import SpawnError
from aiotune.oracles import Oracle, _adoption, _oracle
from aiotune.scheduler import (
    SearchLoop,
    StopReason,
    _activity,
)
from aiotune.store import open_project
from aiotune.store._space import PATIENCE
from aiotune.testing._loop import Deadlock, Livelock
from aiotune.testing.simulator._devices import SimDevices
from aiotune.testing.simulator._disk import SimDisk
from aiotune.testing.simulator._executor import SimExecutor
from aiotune.testing.simulator._faults import CLOCK, DEVICE, JOB, LANES, NEIGHBOUR, Fault
from aiotune.testing.simulator._folding import check_fold, check_verdicts
from aiotune.testing.simulator._job import signal_job
from aiotune.testing.simulator._lanes import Lanes, WatchedCore
from aiotune.testing.simulator._monitors import Monitors
from aiotune.testing.simulator._neighbours import Neighbours
from aiotune.testing.simulator._plan import Happening, Setup
from aiotune.testing.simulator._processes import Crowd
from aiotune.testing.simulator._program import SimLog, let_it_await, make_oracle
from aiotune.testing.simulator._refusals import note_refusals
from aiotune.testing.simulator._script import when_reported
from aiotune.testing.simulator._seams import replaced
from aiotune.testing.simulator._terminal import SimTerminal
from aiotune.testing.simulator._threads import SimLoop
from aiotune.testing.simulator._wiring import TIMES, wired
from aiotune.testing.simulator._world import World
from aiotune.trial import Trial

__all__ = ("Life", "SimulatedMishap")

_ROUNDS = 100_000
"""How often the loop of one life may go round."""
_LONGEST = 8_000.0
"""Virtual seconds after which a life makes no progress any more."""
_OF_THE_PROGRAM = frozenset({Fault.CALLBACK_RAISES, Fault.CALLBACK_SLOW, Fault.ORACLE_RAISES})
_JUMP, _SLEEP, _SLOW = 3600.0, 600.0, 10.0


class SimulatedMishap(Exception):
    """What a user's callback, or an oracle of the user's own, raises."""


_OF_SEARCHES = (FatalError, SearchAborted, StorageError, DeviceError, SpawnError)
_EXPECTED = (*_OF_SEARCHES, SimulatedMishap, Overdue)
"""What a search may raise in a world of trouble; a damaged journal, or a state that cannot be, is none."""


class Life:
    """One process of the tuner, from its start to its end or its death.

    Args:
        world: Where it lives.
        disk: What the lives before have left.
        monitors: Look on.
        setup: What is searched.

    Attributes:
        log: What it told.
        end: How it ended: ``"finished"``, ``"killed"``, or the name of what was raised.
    """

    def __init__(self, world: World, disk: SimDisk, monitors: Monitors, setup: Setup) -> None:
        self.world, self.disk, self.monitors, self.setup = world, disk, monitors, setup
        self.devices = SimDevices(world, setup)
        self.lanes = Lanes(world, disk.threads, self.devices)
        home = disk.layout.project_dir.parent
        self.neighbours = Neighbours(world, self.devices, home / "claims")
        self.log = SimLog(world, monitors, self.devices, str(disk.layout.project_dir.parent))
        self.terminal = SimTerminal(world, disk.threads, lambda: self._broken or self._slept)
        self._crowd = Crowd(world, disk, self.devices, monitors)
        self.executor = SimExecutor(self._crowd)
        self.end = "killed"
        self._oracle: Oracle
        self._search: SearchLoop | None = None
        self._core: WatchedCore | None = None
        self._task: asyncio.Task[None]
        self._raises: set[Fault] = set()
        self._cancellations = 0
        self._second: asyncio.Task[None] | None = None
        self._slept = False

    # ── from outside ───────────────────────────────────────────────────────

    def live(self) -> None:
        """Live to the end."""
        world = self.world
        loop = world.loop = SimLoop(_ROUNDS)
        threads = loop.threads = self.disk.threads
        loop.set_exception_handler(self._told_by_loop)
        seams = (
            (_oracle, "time", world),
            (_adoption, "time", world),
            (_activity, "measure_activity", self.executor.measure),
            *self._crowd.kills.seams(),
            *self.disk.seams(self.setup.segment_bytes),
            *self.terminal.seams(),
        )
        runner = asyncio.Runner(loop_factory=lambda: loop)
        try:
            with replaced(*seams):
                try:
                    runner.run(self._live())
                except RuntimeError:
                    if not world.dead:
                        raise
                except (Deadlock, Livelock) as error:
                    world.wrong("I20", f"{error} It waits for {self._search_state()}")
                    world.dead = True
                finally:
                    threads.kill_all()
                    self.neighbours.bury()
                    loop.bury()
                    runner.close()
        finally:
            if world.dead:
                self.end = "killed"  # what its code did while it was taken apart counts for nothing
            world.began, world.loop = world.monotonic() + 1.0, None

    def _told_by_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.world.dead:
            error = context.get("exception")
            self.world.wrong("I0", f"{context.get('message')}: {error!r}")

    async def _live(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self.world.say("tuner", f"life {self.world.life} begins")
        for happening in self.world.plan.happenings(self.world.life):
            self._expect(happening)
        self.world.running.call_later(_LONGEST, self._too_long)
        try:
            self.end = await self._open_and_search()
        except _EXPECTED as error:
            self._raised(error)
        except asyncio.CancelledError:
            self.end = "cancelled"
        except BaseExceptionGroup as group:
            self._leaves(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.end = type(error).__name__
            self.world.wrong("I0", f"search() raised {type(error).__name__}: {str(error)[:2000]}")
        if not self.world.dead:
            self.world.say("tuner", f"life {self.world.life} ends: {self.end}")
            self._leaves_nothing()

    def _raised(self, error: BaseException) -> None:
        """Take what a search raised; it gives up only on a disk that fails, or is full for long or at its end."""
        self.end = type(error).__name__
        over = self._search is not None and self._search.end != StopReason.ERROR.value
        none_kept = over and self.disk.is_full() and not self.disk.has_ballast
        full = self.disk.full_for >= PATIENCE or none_kept
        if isinstance(error, StorageError) and not self.disk.failed and not full:
            self.world.wrong("I29", f"search() raised {error} ({error.__cause__!r})")
        if isinstance(error, DeviceError):
            left = self.devices.within_reach()
            self.world.judged["gave up for lack of devices"] += 1
            if len(left) >= self.setup.each:
                self.world.wrong("I31", f"search() raised {error}, and there are {sorted(left)}")

    def _leaves(self, group: BaseExceptionGroup[BaseException]) -> None:
        """Take the one plain exception that a search raises out of its group."""
        found, rest = group.split(_EXPECTED)
        self.end = "group"
        if rest is not None and rest.split(asyncio.CancelledError)[1] is not None:
            self.world.wrong("I0", f"search() raised {rest!r}")
        elif found is not None:
            self._raised(found.exceptions[0])

    def _too_long(self) -> None:
        self.world.wrong("I20", f"nothing ends; it waits for {self._search_state()}")
        self._task.cancel()

    def _search_state(self) -> str:
        if self._core is None:
            return "nothing yet"
        core = self._core
        return (
            f"running={sorted(core.running)} ready={sorted(core.ready)} "
            f"proposing={core.proposing} {core.waits_for}"
        )

    # ── the search ─────────────────────────────────────────────────────────

    async def _open_and_search(self) -> str:
        """Search, and return how the search ended."""
        setup = self.setup
        oracle = self._oracle = make_oracle(setup, self.world.plan.seed % 1000)
        oracle.log, oracle.offload = self.log, self.lanes.offloader()
        note_refusals(oracle, self.devices, setup.each, self.monitors.truth)
        for interruption in self.world.plan.interruptions(self.world.life):
            suffer = partial(self._suffer, interruption.fault)
            when_reported(oracle, interruption.after, suffer)
        let_it_await(oracle, self.world)
        async with (
            oracle.open(self.disk.layout.project_dir.parent, "simulated"),
            self.terminal.shown(oracle, self.disk.layout.events_log) as show,
        ):
            search = self._search = self._wired(oracle)
            show(search.running)
            try:
                await search.run()
            finally:
                self.lanes.ends_in_time()
                self._processes_are_gone()
                with anyio.CancelScope(shield=True):  # as the search does with its own executor
                    await self.executor.aclose()
                with contextlib.suppress(StorageError):
                    oracle.record(events.SearchEnded(reason=search.end, at=self.world.now()))
        self._fold_is_the_state()
        return search.end

    def _wired(self, oracle: Oracle) -> SearchLoop:
        search, core = wired(self, oracle, self._before_proposal)
        self._core = core
        return search

    # ── what users do ──────────────────────────────────────────────────────

    async def trial_began(self, trial: Trial) -> None:
        """Call the user's ``on_trial_begin``."""
        self._mishap(Fault.CALLBACK_RAISES)

    async def trial_ended(self, trial: Trial, seconds: float) -> None:
        """Call the user's ``on_trial_end``."""
        self.world.say("tuner", f"trial {trial.trial_id} is {trial.status} after {seconds:.1f} s")
        self.terminal.ended(trial, seconds)
        self.monitors.told_of_end(trial.trial_id, final=trial.status.is_final)
        if Fault.CALLBACK_SLOW in self._raises:
            self._raises.discard(Fault.CALLBACK_SLOW)
            self.world.strike(Fault.CALLBACK_SLOW, "user", trial.trial_id)
            await asyncio.sleep(_SLOW)
        self._mishap(Fault.CALLBACK_RAISES)

    async def _before_proposal(self) -> None:
        self._mishap(Fault.ORACLE_RAISES)

    def _mishap(self, fault: Fault) -> None:
        if fault in self._raises:
            self._raises.discard(fault)
            self.world.strike(fault, "user")
            raise SimulatedMishap(fault.value)

    # ── what happens to it ─────────────────────────────────────────────────

    def _expect(self, happening: Happening) -> None:
        if happening.commit:
            self.disk.schedule(happening.commit, happening.fault)
        else:
            self.world.running.call_later(happening.second, self._suffer, happening.fault)

    def _suffer(self, fault: Fault) -> None:
        world = self.world
        if world.dead or self._task.done():
            return
        if fault in DEVICE:
            self.devices.suffer(fault)
        elif fault in LANES:
            self.lanes.suffer(fault, self.executor.live)
        elif fault in NEIGHBOUR:
            self.neighbours.suffer()
        elif fault in CLOCK:
            self._time_goes_wrong(fault)
        elif fault is Fault.TUNER_KILLED:
            world.die(fault)
        elif fault in _OF_THE_PROGRAM:
            self._raises.add(fault)
        else:
            self._suffer_from_people(fault)

    def _suffer_from_people(self, fault: Fault) -> None:
        world = self.world
        if fault is Fault.SECOND_SEARCH:
            if self._search is not None and self._search.running:
                self._second = world.running.create_task(self._search_beside())
        elif self._search is None and (fault is Fault.SIGTERM or fault in JOB):
            return  # it came before the search began, and is nobody's business here
        elif fault in JOB:
            signal_job(self, fault)
        elif fault is Fault.SIGTERM:
            world.strike(fault, "user")
            self.call_off()
        else:
            world.strike(fault, "user")
            self._cancel()
            if fault is Fault.INTERRUPTED_TWICE:
                world.running.call_later(2.0, self._cancel)

    def call_off(self) -> None:
        """Ask the search to end, as a signal does."""
        if self._search is not None and not self.world.dead:
            self._cancellations += 1
            self._search.stop(StopReason.CANCELLED, TIMES.grace)

    async def _search_beside(self) -> None:
        """Open the project that is held, as a second program would."""
        self.world.strike(Fault.SECOND_SEARCH, "user")
        try:
            store = await open_project(self.disk.layout)
        except ProjectLocked:
            return
        self.world.wrong("I22", "two searches hold the project at once")
        await store.aclose()

    def _cancel(self) -> None:
        self._cancellations += 1
        self._task.cancel()

    @property
    def _gave_up(self) -> bool:
        """Whether the search may leave processes to its executor: it slept through the deadline of a stop."""
        return self._broken or (self._slept and self.log.abandoned)

    @property
    def _broken(self) -> bool:
        """Whether processes may be left to their keepers: who interrupts twice breaks every shield."""
        return self._cancellations > 1

    def _time_goes_wrong(self, fault: Fault) -> None:
        self.world.strike(fault, "host")
        if fault is Fault.SUSPENDED:
            self._slept = self.monitors.slept = True
            self.world.running.advance(_SLEEP)
        else:
            numbers = self.world.plan.numbers("clock", self.world.life)
            self.world.wall_jump += numbers.choice([-_JUMP, _JUMP])

    # ── what must hold at the end of a life ────────────────────────────────

    def _processes_are_gone(self) -> None:
        gave_up, live = self.log.abandoned, self.executor.live
        left = [w for w in live if not (gave_up and w.may_outlive(TIMES.grace))]
        if left and not self.world.dead and not self._gave_up:
            self.world.wrong("I15", f"{left} live after the end of the search")

    def _leaves_nothing(self) -> None:
        if self._broken:
            return
        # Who interrupts a search that has given up a process in the depths of a driver, as a
        # FatalError may have made it do, leaves that one to its keeper.
        hurried = self.log.abandoned and self._cancellations > 0
        left = [w for w in self.executor.live if w.career.kill_takes < 1 or not hurried]
        if left:
            self.world.wrong("I15", f"{left} live after the end of the tuner")
        threads = self.disk.threads.alive.keys() - self.terminal.left_behind
        if len(threads) > self.lanes.sleeping:
            self.world.wrong("I16", f"{len(threads)} threads are left")
        if self._search is None or self._core is None or self.log.abandoned:
            return
        left_open = sorted(self._oracle._book.state.open_attempts)  # noqa: SLF001 - what it knows
        if left_open and self.end not in {"StorageError", "group"}:
            self.world.wrong("I32", f"the attempts of {left_open} have no end")
        leases = self._core.admission.ledger.leases
        if self._search.running or leases:
            self.world.wrong("I16", f"leases are left: {leases}")

    def _fold_is_the_state(self) -> None:
        if self.world.dead:
            return
        oracle = self._oracle
        check_fold(oracle, recorded := self.disk.events(), self.world.wrong)
        check_verdicts(oracle, recorded, self.world.wrong)
