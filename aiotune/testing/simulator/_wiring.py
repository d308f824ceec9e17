"""A search of the simulated host, put together of the product's own parts."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from aiotune.oracles import Oracle
from aiotune.scheduler import (
    Admission,
    AttemptRunner,
    Deadlines,
    DeviceWatch,
    Limits,
    SearchLoop,
    Timing,
    Weigher,
)
from aiotune.testing.simulator._lanes import HangingProvider, WatchedCore
from aiotune.testing.simulator._monitors import WEIGHING_DEADLINES

if TYPE_CHECKING:
    from aiotune.testing.simulator._lives import Life

__all__ = ("TIMES", "wired")

TIMES = Timing(grace=5.0, fatal_grace=0.5, tick=1.0, shutdown=10.0, watch=1.0)
"""Those of every simulated search."""


def wired(
    life: Life, oracle: Oracle, before_proposal: Callable[[], Awaitable[None]]
) -> tuple[SearchLoop, WatchedCore]:
    """Return the search of one life of the tuner, and its core.

    Args:
        life: Whose it is; calls the user's hooks.
        oracle: Proposes and records.
        before_proposal: Awaited before each proposal.
    """
    setup, world = life.setup, life.world
    resources, offload = life.neighbours.resources(), oracle.offload
    if resources.provider is not None:
        hanging = HangingProvider(life.lanes, life.devices.provider)
        resources = replace(resources, provider=hanging)
    admission = Admission(resources, oracle.calibration, space="simulated", trains=setup.trains)
    shared = _shared(life, oracle, admission)
    ids = (f"{world.life}{number:03x}" for number in itertools.count())
    ahead = 1 if oracle.proposes_ahead else 0
    life.neighbours.watch(admission.ledger)
    core = WatchedCore(admission, ahead=ahead, weighs=setup.weighs).watched(life.lanes, world)
    runner = AttemptRunner(new_id=lambda: next(ids), **shared)
    runner.run = core.timing(runner.run)  # type: ignore[method-assign,assignment]
    deadlines = Deadlines(*WEIGHING_DEADLINES)
    weigher = Weigher(max_model_size=setup.parameters, deadlines=deadlines, **shared)
    watch = DeviceWatch(resources, offload, free_ram=lambda: resources.host_bytes or 0, clock=world)

    def tick() -> None:
        core.validate()
        life.terminal.tick()

    search = SearchLoop(
        core=core,
        oracle=oracle,
        runner=runner,
        weigher=weigher,
        watch=watch,
        log=life.log,
        clock=world,
        timing=replace(TIMES, limits=Limits(setup.timeout, setup.stall_warn, setup.stall)),
        on_tick=tick,
        before_proposal=before_proposal,
        on_stop=partial(life.lanes.stop, TIMES.shutdown),
        offload=offload,
    )
    return search, core


def _shared(life: Life, oracle: Oracle, admission: Admission) -> dict[str, Any]:
    return {
        "oracle": oracle,
        "executor": life.executor,
        "layout": life.disk.layout,
        "log": life.log,
        "admission": admission,
        "hooks": life,
        "clock": life.world,
        "offload": oracle.offload,
    }
