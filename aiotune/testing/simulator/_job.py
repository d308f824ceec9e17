"""What terminals and batch systems do to the tuner's processes: signals, in any order."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from aiotune import _asking
from aiotune.testing.simulator._faults import Fault

if TYPE_CHECKING:
    from aiotune.testing.simulator._lives import Life
    from aiotune.testing.simulator._processes import SimWorker

__all__ = ("signal_job",)

_GAPS = (0.0, 0.005, 0.03, 0.3, 0.9)
"""Seconds between the workers and the tuner; beyond a second nobody takes them for one end."""
_APART = 0.03
"""Seconds within which all workers are gone."""


def signal_job(life: Life, fault: Fault) -> None:
    """Send what the fault says to whom it says."""
    world = life.world
    numbers = world.plan.numbers("job", fault.name, world.life)
    gap = numbers.choice(_GAPS)
    workers = [w for w in life.executor.live if w.hears_sigterm]
    numbers.shuffle(workers)
    match fault:
        case Fault.SIGHUP:
            world.strike(fault, "terminal")
            _hang_up(life)
        case Fault.JOB_ENDED_WORKERS_FIRST:
            world.strike(fault, "batch", f"{len(workers)} workers, then the tuner after {gap:g} s")
            life.monitors.truth.with_the_job |= _end(life, workers)
            world.running.call_later(_APART + gap, life.call_off)
        case Fault.JOB_ENDED_TUNER_FIRST:
            world.strike(fault, "batch", f"the tuner, then {len(workers)} workers")
            life.monitors.truth.with_the_job |= _names(workers)
            life.call_off()
            world.running.call_later(gap / 10, _end, life, workers)
        case Fault.WORKERS_ENDED if workers:
            world.strike(fault, "host", f"{len(workers)} workers")
            lost = _end(life, workers)
            if len(lost) > 1:
                life.monitors.truth.together |= lost
        case Fault.WORKER_ENDED if workers:
            world.strike(fault, "host", workers[0].attempt_id)
            _end(life, workers[:1])
        case _:
            pass  # nobody is there


def _hang_up(life: Life) -> None:
    """Let the tuner hear SIGHUP as the product says that it does."""
    if signal.SIGHUP in _asking.ENDS_SEARCHES:
        life.call_off()
        return
    life.world.wrong("I33", "SIGHUP ends the tuner at once, and not in order")
    life.world.die(Fault.SIGHUP)


def _end(life: Life, workers: list[SimWorker]) -> set[str]:
    """Send SIGTERM to workers; return the attempts that are lost by it."""
    lost = _names(workers)
    for number, worker in enumerate(workers):
        life.world.running.call_later(_APART * number / len(workers), worker.hear_sigterm)
    return lost


def _names(workers: list[SimWorker]) -> set[str]:
    return {w.attempt_id for w in workers if w.is_attempt and not w.has_spoken}
