"""What a simulated worker does with its order: the truth that the tuner only hears of."""

from __future__ import annotations

from aiotune._values import Value
from aiotune.failures import FailureKind, TrialFailure
from aiotune.memory import ModelSize
from aiotune.testing.simulator._deeds import Career, Hangs, Waits
from aiotune.testing.simulator._faults import ENDING, WEIGHING, Fault
from aiotune.testing.simulator._plan import Plan
from aiotune.testing.simulator._training import Training, size_of
from aiotune.wire import Failed, Hello, RunAttempt, RunWeighing, Weighed

__all__ = ("career_of", "refused")

_SLOW = 40.0
"""Longer than a weighing may be silent, and not as long as it may take."""


def career_of(plan: Plan, order: RunAttempt | RunWeighing, pid: int, saved: int = 0) -> Career:
    """Decide what the worker of an order does.

    Args:
        plan: Whose search it is.
        order: What it is told.
        pid: Its process.
        saved: How many epochs of this training an interrupted attempt has left on the disk.
    """
    if isinstance(order, RunWeighing):
        return _weighing(plan, order, pid)
    return Training(plan, order, pid, plan.fault_of(order), saved).career


def refused(pid: int) -> Career:
    """Return what a worker does whose back end does not work in a fork."""
    career = Career(fault=Fault.FORK_REFUSED)
    career.says(Hello(pid=pid), 0.05)
    text = "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, ..."
    failure = TrialFailure(kind=FailureKind.ERROR, type="RuntimeError", message=text)
    career.says(Failed(failure=failure, values={}, entries=[]), 0.5)
    career.ends(exit_code=1)
    return career


def _weighing(plan: Plan, order: RunWeighing, pid: int) -> Career:
    late = plan.strikes(WEIGHING, "late", order.index, order.precise)
    career = Career(fault=late or plan.strikes((*ENDING, Fault.RAISES), "weighing", order.index))
    career.says(Hello(pid=pid), 0.05)
    if late in {Fault.WEIGHING_HANGS, Fault.WEIGHING_SPINS}:
        career.obeys = False
        career.does(Hangs() if late is Fault.WEIGHING_HANGS else Waits(), 0.5)
        return career
    size, peak = size_of(plan, order.index)
    values: dict[str, Value] = dict(order.space["values"])
    if career.fault in ENDING:
        career.ends(0.5, signal=11)
        return career
    why = "the program raises" if career.fault is Fault.RAISES else ""
    if not why and (told := _too_large(order, size)):
        career.says(Failed(failure=told, values={}, entries=[]), 0.5)
        career.ends(exit_code=1)
        return career
    career.says(
        Weighed(
            size=None if why else size,
            values=values,
            entries=[],
            why=why,
            builds=not why,
            precise_bytes=peak if order.precise and not why else None,
        ),
        _SLOW if late is Fault.WEIGHING_SLOW else 0.5,
    )
    career.ends()
    return career


def _too_large(order: RunWeighing, size: ModelSize) -> TrialFailure | None:
    """Return how a worker refuses a model that has more than it is told a model may have."""
    takes = size.weight_bytes + size.slot_bytes
    many = order.max_parameters is not None and size.parameters > order.max_parameters
    if not many and (order.max_bytes is None or takes <= order.max_bytes):
        return None
    text = f"{size.parameters} parameters, {takes} bytes"
    return TrialFailure(kind=FailureKind.OVERSIZED, type="OversizedModelError", message=text)
