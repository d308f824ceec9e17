"""What follows from an attempt's end for memory: the trial's next rung, and what is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aiotune import events
from aiotune._gpu import Lease, format_bytes
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.memory import MOST_FOREIGN, Rung
from aiotune.scheduler._admission import OWN, Admission

if TYPE_CHECKING:
    from aiotune.scheduler._attempts import Running

__all__ = ("lessons", "with_rung")

_SMALLEST = 8
"""A batch is not made smaller than an eighth of what was asked for."""
_SLACK = 1.1
"""Memory that a back end keeps beside its tensors counts up to this; the rest it gives back."""


def with_rung(
    running: Running, failure: TrialFailure | None, admission: Admission
) -> TrialFailure | None:
    """Decide what memory a trial is given after this attempt; say so if it is never enough.

    Returns:
        The failure, with the numbers of the last try if there will be no other.
    """
    trial = running.trial
    if failure is None or failure.kind is not FailureKind.OUT_OF_MEMORY:
        return failure  # what it was to have it still needs, if it runs again
    trial.rung = None
    told = failure.memory or OutOfMemory(cause=MemoryCause.HOST)
    memory = msgspec.structs.replace(told, cause=_cause(told, running.lease, admission))
    if memory != told:
        failure = msgspec.structs.replace(failure, memory=memory)
    foreign = memory.cause is MemoryCause.FOREIGN
    if not (foreign and trial.foreign >= MOST_FOREIGN):
        trial.rung = admission.after(memory, running.lease, trial.memory_tries)
    if trial.rung is None and admission.halves and _may_halve(memory, trial.batch_divisor):
        trial.batch_divisor *= 2
        trial.rung = Rung(running.lease.bytes, alone=running.lease.exclusive)
    if trial.rung is not None:
        return failure
    text = f"{_story(running, memory, admission)}\n{failure.message}"
    return msgspec.structs.replace(failure, message=text, memory=memory)


def _cause(memory: OutOfMemory, lease: Lease, admission: Admission) -> MemoryCause:
    """Return whose memory ran out, as far as a worker cannot know it."""
    if memory.cause in OWN and not lease.uuids:
        return MemoryCause.HOST  # on the CPU there is no other
    if memory.cause in OWN and admission.is_short(lease):
        # The worker sees a limit of its own; that it was so low is the others' doing.
        return MemoryCause.FOREIGN
    return memory.cause


def _may_halve(memory: OutOfMemory, divisor: int) -> bool:
    # Activations shrink with the batch; what the host or others lack does not.
    return memory.cause in OWN and divisor < _SMALLEST


def _story(running: Running, memory: OutOfMemory, admission: Admission) -> str:
    lease = running.lease
    where = running.place.label
    if memory.cause is MemoryCause.FOREIGN:
        return (
            f"Other processes left too little memory on {where}, {MOST_FOREIGN + 1} times: end them, "
            "or choose other GPUs with devices=."
        )
    if memory.cause is MemoryCause.HOST:
        return (
            "It needs more of the host's memory than there is, even alone: "
            f"{format_bytes(admission.ledger.host.capacity)} could be given out."
        )
    had = format_bytes(lease.bytes)
    asked = "" if memory.asked is None else f", and asked for {format_bytes(memory.asked)} more"
    alone = " alone" if lease.exclusive else ""
    return f"It ran out of memory{alone} on {where} with {had}{asked}: it does not fit here."


def lessons(
    running: Running, failure: TrialFailure | None, admission: Admission
) -> list[events.MemoryObserved]:
    """Return what an attempt's peak, or its running out of memory, teaches about predictions."""
    size, lease = running.need.size, running.lease
    if size is None or not lease.uuids or not size.has_activations:
        return []
    peak, censored = _peak(running, failure)
    if not peak:
        return []
    context = 0
    if running.peak is not None and running.driver_bytes > running.peak.reserved:
        context = running.driver_bytes - running.peak.reserved
    key = admission.key(size, admission.device_name(lease))
    return [
        events.MemoryObserved(
            space=key.space,
            backend=key.backend,
            device=key.device,
            dtype=key.dtype,
            predicted=admission.predicted(size),
            peak=peak,
            context=context,
            censored=censored,
        )
    ]


def _peak(running: Running, failure: TrialFailure | None) -> tuple[int, bool]:
    memory = failure.memory if failure is not None else None
    limit = running.place.limit
    if memory is not None and memory.cause is MemoryCause.DEVICE and limit is not None:
        wanted = (memory.in_use or 0) + (memory.asked or 0)
        return max(limit.bytes, wanted), True
    if failure is not None or running.peak is None:
        return 0, False  # it may not have come as far as its peak
    peak = running.peak
    return max(peak.allocated, min(peak.reserved, int(_SLACK * peak.allocated))), False
