"""What a trial that ran out of memory is given next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from aiotune.failures import MemoryCause, OutOfMemory

__all__ = ("MOST_FOREIGN", "MOST_TRIES", "Rung", "is_counted", "next_rung")

MOST_TRIES = 2
"""How often a trial is given more; the last time it has a device for itself."""
MOST_FOREIGN = 5
"""How often a trial may find its device full of others' memory before it is their word
against the ledger's; whoever counts the attempts keeps to it."""

_GROWTH = 1.5
_MARGIN = 1.2
_SLACK = 1.25
_WORKSPACE = 512 << 20


@dataclass(frozen=True, slots=True)
class Rung:
    """What the next attempt of a trial is given.

    Attributes:
        bytes: On each of its devices, at least.
        alone: Whether nothing else may be on the device.
    """

    bytes: int
    alone: bool


def next_rung(failure: OutOfMemory, *, reservation: int, tries: int, largest: int) -> Rung | None:
    """Return what to give a trial after it ran out of memory; ``None``: it does not fit.

    =============  ===============================================  ===========================
    cause          first try                                        second, and last, try
    =============  ===============================================  ===========================
    DEVICE         max(1.5 R, 1.2 x (what it had + asked for))      the largest device, alone
    FRAGMENTATION  1.25 R, or room for what it asked for besides    the largest device, alone
    WORKSPACE      R + 512 MiB, at least 1.25 R                     the largest device, alone
    HOST           R, alone                                         none
    FOREIGN        R, again and again: it is not a try              (see ``MOST_FOREIGN``)
    =============  ===============================================  ===========================

    A fragmented device had enough room, and a library that found none wants a
    workspace of its own, no matter how large the model is: both are given a
    margin, not half as much again. The last try has the largest device, so that what
    fails there fits nowhere. A trial that had it already has no further try,
    except for the host's sake.

    Args:
        failure: What is known of it.
        reservation: What the attempt had of each device, R.
        tries: How many tries of this table the trial has had already.
        largest: What the largest device can give when it is empty.
    """
    match failure.cause:
        case MemoryCause.FOREIGN:
            return Rung(reservation, alone=False)
        case MemoryCause.HOST:
            return Rung(reservation, alone=True) if tries == 0 else None
        case MemoryCause.DEVICE:
            wanted = max(_GROWTH * reservation, _MARGIN * _needed(failure, reservation))
        case MemoryCause.FRAGMENTATION:
            wanted = max(_SLACK * reservation, reservation + (failure.asked or 0))
        case MemoryCause.WORKSPACE:
            wanted = max(_SLACK * reservation, reservation + _WORKSPACE)
        case _:
            assert_never(failure.cause)
    return _larger(math.ceil(wanted), reservation=reservation, tries=tries, largest=largest)


def is_counted(cause: MemoryCause) -> bool:
    """Return whether an attempt that ended so is one of the trial's ``tries``."""
    return cause is not MemoryCause.FOREIGN


def _larger(wanted: int, *, reservation: int, tries: int, largest: int) -> Rung | None:
    if tries >= MOST_TRIES or reservation >= largest:
        return None
    if tries == MOST_TRIES - 1 or wanted >= largest:
        return Rung(largest, alone=True)
    return Rung(wanted, alone=False)


def _needed(failure: OutOfMemory, reservation: int) -> int:
    """Return what would have been enough at that moment, with the driver's context."""
    held = max(failure.peak or 0, failure.in_use or 0)
    context = max(0, reservation - failure.limit) if failure.limit is not None else 0
    return context + held + (failure.asked or 0)
