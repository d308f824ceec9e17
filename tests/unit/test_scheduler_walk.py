"""Ten thousand trials on random GPUs, with whatever may happen, in whatever order."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from aiotune._devices import Resources
from aiotune.memory import Calibration, ModelSize, Rung
from aiotune.scheduler._admission import Admission, Need
from aiotune.scheduler._commands import (
    AttemptConcluded,
    Command,
    DeviceBack,
    DeviceBroke,
    Launch,
    Measurement,
    MemoryMeasured,
    ProposalEnded,
    Propose,
    Reject,
    StepsTimed,
    Stimulus,
    StopReason,
    StopRequested,
    TrialDropped,
    TrialProposed,
    TrialWeighed,
    Weigh,
)
from aiotune.scheduler._core import SchedulerCore
from aiotune_gpu import GIB, DeviceMemory, Lease
from aiotune_gpu.fake import fake_devices

BLOCKS, SEEDS = 10, 80


class Box:
    """GPUs, an oracle, processes and strangers that all act at random."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        devices = tuple(fake_devices(rng.randint(1, 4), gib=rng.choice([8, 16, 80])))
        self.resources = Resources(
            most=len(devices) * 4,
            reason="",
            devices=devices,
            most_per_device=4,
            measures=True,
            host_bytes=64 * GIB,
        )
        self.admission = Admission(self.resources, Calibration(), space="s")
        self.core = SchedulerCore(self.admission, ahead=rng.randint(0, 1), weighs=True)
        self.budget, self.created = rng.randint(1, 40), 0
        self.proposing: list[int] = []
        self.late: list[int] = []
        self.stop_at = rng.choice([None, None, rng.randint(1, 80)])
        self.weighing: list[str] = []
        self.rejecting: list[str] = []
        self.requeued: list[str] = []
        self.running: dict[str, Lease] = {}
        self.needs: dict[str, Need] = {}
        self.ended: set[str] = set()
        self.broken: set[str] = set()
        self.away: set[str] = set()

    def run(self) -> None:
        self.perform(self.core.start())
        for step in range(1, 6000):
            if self.core.finished:
                assert self.core.stopping or not self.requeued, "a retry was lost"
                return
            self.perform(self.core.handle(self.next(step)))
        raise AssertionError(f"no end: {self.core.waits_for}")

    def perform(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Propose(request):
                    self.proposing.append(request)
                case Weigh(trial_id):
                    self.weighing.append(trial_id)
                case Reject(trial_id):
                    self.rejecting.append(trial_id)
                case Launch(trial_id, lease):
                    assert not self.broken & set(lease.uuids)
                    self.running[trial_id] = lease
                case _:
                    pass  # nothing that this box has to answer
        self.core.validate()
        for state in self.admission.ledger.states():
            held = [v for v in self.running.values() if state.uuid in v.uuids]
            assert sum(lease.bytes for lease in held) <= state.capacity
            assert len(held) <= 4
            assert len(held) == 1 or not any(lease.exclusive for lease in held)

    def next(self, step: int) -> Stimulus:
        if step == self.stop_at:
            return StopRequested(StopReason.CANCELLED, 1.0)
        whole = [d.uuid for d in self.resources.devices if d.uuid not in self.broken]
        if self.away and self.rng.random() < 0.05:
            self.broken.discard(uuid := self.away.pop())
            return DeviceBack(uuid)
        may_return = self.rng.random() < 0.5
        if len(whole) > (not may_return) and self.rng.random() < 0.01:
            self.broken.add(whole[0])
            if may_return:
                self.away.add(whole[0])
            return DeviceBroke(whole[0], "it is broken", may_return)
        able: list[Callable[[], Stimulus]] = [self.measure]
        able += [self.propose] * 3 * bool(self.proposing)
        able += [self.end_late] * bool(self.late)
        able += [self.weigh] * 3 * bool(self.weighing)
        able += [self.reject] * 3 * bool(self.rejecting)
        able += [self.end, self.end, self.time] * bool(self.running)
        return self.rng.choice(able)()

    def propose(self) -> Stimulus:
        request = self.proposing.pop()
        if self.requeued:
            trial_id = self.requeued.pop()
            return TrialProposed(trial_id, self.needs[trial_id])
        if self.created < self.budget and not self.core.stopping:
            self.created += 1
            return TrialProposed(str(self.created))
        self.late.append(request)  # the oracle has looked, and takes its time to say so
        return self.measure()

    def end_late(self) -> Stimulus:
        return ProposalEnded(self.late.pop(self.rng.randrange(len(self.late))))

    def weigh(self) -> Stimulus:
        trial_id = self.weighing.pop(self.rng.randrange(len(self.weighing)))
        if self.core.stopping or self.rng.random() < 0.1:
            self.ended.add(trial_id)
            return TrialDropped(trial_id)
        need = self.needs.get(trial_id) or Need(self.size() if self.rng.random() < 0.9 else None)
        if self.admission.wants_trace(need):
            assert need.size is not None
            peak = self.rng.choice([GIB // 8, 4 * need.size.weight_bytes])
            need = Need(need.size, traced=peak)
        self.needs[trial_id] = need
        return TrialWeighed(trial_id, need)

    def size(self) -> ModelSize:
        weights = int(self.rng.choice([0.01, 0.1, 0.5, 1, 2, 6]) * GIB * self.rng.uniform(0.5, 1.5))
        return ModelSize(
            backend="jax",
            parameters=weights // 4,
            trainable_parameters=weights // 4,
            weight_bytes=weights,
            gradient_bytes=weights,
            slot_bytes=2 * weights,
            activation_bytes=int(self.rng.uniform(0, 2) * weights),
        )

    def reject(self) -> Stimulus:
        trial_id = self.rejecting.pop()
        self.ended.add(trial_id)
        return TrialDropped(trial_id)

    def end(self) -> Stimulus:
        trial_id = self.rng.choice(sorted(self.running))
        lease = self.running.pop(trial_id)
        again = self.rng.random() < 0.15 and not self.core.stopping
        if again:
            if self.rng.random() < 0.5:
                size = min(self.admission.largest, lease.bytes * 3 // 2)
                rung = Rung(size, alone=self.rng.random() < 0.5)
                self.needs[trial_id] = Need(self.needs[trial_id].size, rung=rung)
            self.requeued.append(trial_id)
        else:
            self.ended.add(trial_id)
        return AttemptConcluded(trial_id, again)

    def time(self) -> Stimulus:
        trial_id = self.rng.choice(sorted(self.running))
        return StepsTimed(trial_id, 10, self.rng.uniform(0.5, 3.0))

    def measure(self) -> Stimulus:
        device = self.rng.choice(self.resources.devices)
        ours = sum(v.bytes for v in self.running.values() if device.uuid in v.uuids)
        others = self.rng.choice([0, 0, 0, int(device.total_bytes * self.rng.random() / 2)])
        used = min(device.total_bytes, others + int(ours * self.rng.random()))
        memory = DeviceMemory(device.total_bytes, used, device.total_bytes - used)
        return MemoryMeasured(Measurement({device.uuid: memory}, host_free=64 * GIB))


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_boxes_never_promise_too_much_and_always_end(block: int) -> None:
    """No device is ever over its capacity or its number; every trial ends once; no trial starves."""
    trials = 0
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        box = Box(seed)

        box.run()

        trials += box.created
        assert not box.running, f"seed {seed}"
        if box.core.stopping is None:
            assert len(box.ended) == box.created == box.budget, f"seed {seed}"
    assert trials > 1000
