"""A whole search on a workstation whose desktop holds a part of the only GPU, for ever."""

from __future__ import annotations

import pytest

from aiotune._devices import Resources
from aiotune.executors import Script
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import ModelSize
from aiotune.oracles import RandomSearchOracle
from aiotune.testing import Simulation, completes
from aiotune.wire import Failed, RunAttempt, Weighed
from aiotune_gpu import GIB
from aiotune_gpu.fake import FakeProvider, fake_devices

pytestmark = pytest.mark.virtual_time


def never_enough(order: RunAttempt) -> Script:
    limit = order.memory.bytes if order.memory is not None else None
    memory = OutOfMemory(cause=MemoryCause.DEVICE, asked=GIB, limit=limit, in_use=limit)
    failure = TrialFailure(kind=FailureKind.OUT_OF_MEMORY, message="no room", memory=memory)
    return Script([(1.0, Failed(failure=failure, values={}, entries=[]))])


async def test_a_trial_that_is_too_large_does_not_wait_for_the_desktop_to_end() -> None:
    """It climbs to the GPU alone, which is what the desktop leaves of it, is refused, and the search goes on."""
    devices = fake_devices(1, gib=12)
    provider = FakeProvider(devices, used={devices[0].uuid: 7 * GIB // 4})
    resources = Resources(
        4, "", tuple(devices), most_per_device=4, measures=True, provider=provider
    )
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    size = ModelSize(
        backend="jax",
        parameters=GIB // 4,
        trainable_parameters=GIB // 4,
        weight_bytes=GIB,
        gradient_bytes=GIB,
        slot_bytes=0,
    )
    sim = Simulation(
        RandomSearchOracle("loss", max_trials=6, hyperparameters=hp, seed=1),
        lambda order: never_enough(order) if order.trial_id == "0" else completes(order, 0.5),
        resources=resources,
        weigh=lambda _: Weighed(size=size, values={}, entries=[], why=""),
    )

    await sim.run()

    first, *others = sim.oracle.trials.values()
    assert first.failure is not None
    assert (str(first.status), first.attempts) == ("REJECTED", 3)
    assert "ran out of memory alone on GPU 0 Fake GPU with 9.8 GiB" in first.failure.message
    assert [str(trial.status) for trial in others] == ["COMPLETED"] * 6
