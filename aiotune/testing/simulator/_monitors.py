"""What must hold at every moment, seen from outside: processes, devices and durable bytes."""

from __future__ import annotations

import json
import math
import zlib
from typing import Any

from aiotune.executors._base import WorkerMessage
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._processes import SimWorker
from aiotune.testing.simulator._world import World
from aiotune.wire import Done, Failed, RunAttempt

__all__ = ("WEIGHING_DEADLINES", "Monitors", "Truth")

_STALL_MARGIN = 75.0
"""Two looks ten seconds apart, a warning, the grace, and half a minute that SIGKILL may take."""
_SPIN_MARGIN = 12.0
"""Who spins obeys."""
WEIGHING_DEADLINES = (20.0, 60.0)
"""Seconds that a weighing may be silent, and that it may take."""
_WEIGHING_MARGIN = 10.0


class Truth:
    """What the processes really did, which no crash of the tuner can change.

    Attributes:
        launched: Attempts that had a process, in order, as (life, order).
        results: What was computed, by attempt id.
        heard: Results that the tuner was told, by attempt id, with the life that heard them.
        on_disk: Attempts whose result was written down, since there was space for it.
        cut_short: Lives of the tuner that were killed, or could not record what they knew.
        trained: Seconds that attempts lived without waiting for the disk.
        hung: Attempts that hung before they ended.
        with_the_job: Attempts that somebody else ended together with the whole search.
        together: Attempts that somebody else ended together with others.
        lacked_memory: Attempts during which the kernel killed a process of the search for want of memory.
        refused: Trials that were refused, with what each device could give that was left then.
    """

    def __init__(self) -> None:
        self.hung: set[str] = set()
        self.with_the_job: set[str] = set()
        self.together: set[str] = set()
        self.lacked_memory: set[str] = set()
        self.refused: dict[str, dict[str, int]] = {}
        self.trained: dict[str, float] = {}
        self.launched: list[tuple[int, RunAttempt]] = []
        self.results: dict[str, Done] = {}
        self.heard: dict[str, tuple[int, Done]] = {}
        self.on_disk: set[str] = set()
        self.cut_short: set[int] = set()

    @property
    def unkept(self) -> set[str]:
        """Trials with a result for which there was no space, while the channel was broken, too."""
        found = self.results.keys() - self.on_disk - self.heard.keys()
        return {order.trial_id for _, order in self.launched if order.attempt_id in found}


class Monitors:
    """Checks each process that starts against what is durable at that moment.

    Args:
        world: Takes what is wrong.

    Attributes:
        truth: What really happened.
        quarantined: Devices that the tuner has said it uses no more, in this life.
        slept: Whether the host has slept in this life.
        fatal: Whether the tuner was told of a ``FatalError`` in this life and has recorded it.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.truth = Truth()
        self.quarantined: set[str] = set()
        self.fatal = False
        self._asked: set[str] = set()
        self._alive: dict[SimWorker, None] = {}
        self._started: dict[str, dict[str, Any]] = {}
        self._ended: set[str] = set()
        self._spooled: dict[str, str] = {}
        self._weighing: dict[str, SimWorker] = {}
        self._pruned: set[str] = set()
        self._asked_early: set[str] = set()
        self.slept = False

    def new_life(self) -> None:
        """Forget what belonged to the life that is over: its keepers have killed all its processes."""
        self._alive = {}
        self.quarantined.clear()
        self._asked.clear()
        self.fatal = self.slept = False

    # ── what becomes durable ───────────────────────────────────────────────

    def synced(self, data: bytes) -> None:
        """Read new records without the help of the product's codec."""
        for line in data.splitlines():
            record = _record(line)
            if record is None:
                self._world.wrong("I24", f"what was synced is no record: {line[:60]!r}")
                continue
            match record.get("type"):
                case "attempt_started":
                    self._started[record["attempt_id"]] = record
                case "trial_pruned":
                    self._pruned.add(record["trial_id"])
                case "trial_ended":
                    self._ended.add(record["trial_id"])
                case "attempt_ended" if record["attempt_id"] in self._asked:
                    # One of an earlier life may become durable only now.
                    self.fatal |= (record.get("failure") or {}).get("kind") == "fatal"
                case _:
                    pass

    # ── what processes do ──────────────────────────────────────────────────

    def asked(self, attempt_id: str) -> None:
        """Check that the tuner may want a process."""
        self._asked.add(attempt_id)
        if self.fatal:
            self._world.wrong("I9", f"{attempt_id} was to be started after a FatalError")
        out = self.quarantined & set(self._started.get(attempt_id, {}).get("devices", ()))
        if out:
            self._world.wrong("I21", f"{attempt_id} was to be started on {sorted(out)}")

    def told_of_end(self, trial_id: str, *, final: bool) -> None:
        """Check that the user is told of a trial's end when it is durable, and not before."""
        if final and trial_id not in self._ended and not self._world.dead:
            self._world.wrong("I25", f"the end of trial {trial_id} is told and not yet durable")

    def launched(self, worker: SimWorker) -> None:
        """Check that a process may exist."""
        self._alive = {w: None for w in self._alive if not w.is_gone}
        if isinstance(worker.order, RunAttempt):
            self.truth.launched.append((self._world.life, worker.order))
            self._intent_is_durable(worker)
            self._trial_is_free(worker.order)
            self._alive[worker] = None
            self._devices_have_room(worker)
            setup = self._world.plan.setup
            if len(self._alive) > setup.most:
                self._world.wrong("I1", f"{list(self._alive)} run, where {setup.most} may")
        else:
            self._weighing[worker.order.trial_id] = worker

    def weighing_given_up(self, trial_id: str) -> None:
        """Check that a weighing that the tuner gives up would have come to no end, and is gone."""
        worker = self._weighing[trial_id]
        if worker.hangs_since is None:
            self._world.wrong("I35", f"{worker} was given up, and did not hang")
        if not worker.is_gone:
            self._world.wrong("I35", f"{worker} was given up, and is there")

    def computed(self, worker: SimWorker, done: Done, *, on_disk: bool) -> None:
        """Remember a result."""
        self.truth.results[worker.attempt_id] = done
        if on_disk:
            self.truth.on_disk.add(worker.attempt_id)
        if on_disk and all(math.isfinite(v) for v in done.metrics.values()):
            self._spooled[worker.order.trial_id] = worker.attempt_id

    def heard(self, worker: SimWorker, message: WorkerMessage) -> None:
        """Remember that the tuner was told of a result."""
        if isinstance(message, Done):
            self.truth.heard[worker.attempt_id] = (self._world.life, message)
        elif isinstance(message, Failed):
            # The tuner was told of a failure before the result: it cannot know better.
            self._spooled.pop(worker.order.trial_id, None)

    def finishes_early(self, worker: SimWorker) -> None:
        """Check that a training is asked to end early only where that is durable, and once."""
        key = (worker.order.trial_id, worker.attempt_id)
        if worker.order.trial_id not in self._pruned:
            self._world.wrong("I27", f"{key} is to end early, and that is not durable")
        if worker.attempt_id in self._asked_early:
            self._world.wrong("I27", f"{key} is asked to end early twice")
        self._asked_early.add(worker.attempt_id)

    def ended(self, worker: SimWorker) -> None:
        """Check that no process hung for longer than it may."""
        self.truth.trained[worker.attempt_id] = worker.trained
        if worker.lacked_memory:
            self.truth.lacked_memory.add(worker.attempt_id)
        setup, since = self._world.plan.setup, worker.idles_since
        if since is None:
            return
        self.truth.hung.add(worker.attempt_id)
        took = self._world.monotonic() - since
        if self.slept:
            return
        if not worker.is_attempt:
            silent, total = WEIGHING_DEADLINES
            if took > (total if worker.spins else silent) + _WEIGHING_MARGIN:
                self._world.wrong("I35", f"{worker} hung for {took:.0f} s")
        elif setup.stall is not None and (not worker.spins or self._is_seen_to_spin(worker)):
            margin = _SPIN_MARGIN if worker.spins else _STALL_MARGIN
            if took > setup.stall + margin:
                self._world.wrong("I26", f"{worker.attempt_id} hung for {took:.0f} s")

    def _is_seen_to_spin(self, worker: SimWorker) -> bool:
        """Whether its devices tell that they do not work, and it has begun: then to compute is not to live."""
        return worker.reports > 0 and not self._world.struck[Fault.DRIVER_SILENT]

    def _intent_is_durable(self, worker: SimWorker) -> None:
        if worker.attempt_id not in self._started:
            self._world.wrong("I2", f"{worker.attempt_id} runs, and its start is not durable")

    def _trial_is_free(self, order: RunAttempt) -> None:
        others = [w for w in self._alive if w.order.trial_id == order.trial_id]
        if others:
            self._world.wrong("I3", f"{order.attempt_id} runs beside {others}")
        if order.trial_id in self._ended:
            self._world.wrong("I6", f"{order.attempt_id} runs, and the trial had ended for good")
        kept = self._spooled.get(order.trial_id)
        if kept is not None:
            self._world.wrong("I13", f"{order.attempt_id} runs, although {kept} had its result")

    def _devices_have_room(self, worker: SimWorker) -> None:
        for uuid, has in worker.devices_have().items():
            here = [w for w in self._alive if uuid in w.devices]
            records = [self._started.get(w.attempt_id, {}) for w in here]
            promised = sum(r.get("reservation", 0) for r in records)
            if promised > has:
                self._world.wrong("I1", f"{promised} bytes of {uuid} are promised to {here}")
            if len(here) > 1 and any(r.get("alone") for r in records):
                self._world.wrong("I1", f"{here} are on {uuid}, which one of them has alone")
            if len(here) > self._world.plan.setup.share:
                self._world.wrong("I1", f"{here} are on {uuid}, more than may share it")


def _record(line: bytes) -> dict[str, Any] | None:
    if line[:8] != b"%08x" % zlib.crc32(line[9:]):
        return None
    record: dict[str, Any] = json.loads(line[9:])
    return record
