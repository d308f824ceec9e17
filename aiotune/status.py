"""What state a trial is in, and which moves between states are legal."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

__all__ = ("TRANSITIONS", "TrialStatus")


class TrialStatus(StrEnum):
    """The state of a trial. Persisted: add members, never reuse or remove one.

    ::

        QUEUED ──► PROBING ──► RUNNING ──► COMPLETED
          ▲           │           │ ├────► FAILED     no retry is left, or none is wanted
          │           ▼           │ ├────► CANCELLED  the search was stopped
          │        REJECTED ◄──┐  │ └────► INVALID    this attempt failed
          │                    └──│───────────┤       it fits no device
          └───────────────────────┴───────────┘       (retry)

    QUEUED, PROBING, RUNNING, INVALID and CANCELLED are unfinished: a resumed
    search runs such a trial again. COMPLETED, FAILED and REJECTED are final.
    IDLE and STOPPED belong to no real trial: they are what
    :meth:`Oracle.create_trial` answers in KerasTuner's vocabulary when there
    is nothing to run now, or nothing to run ever again.
    """

    QUEUED = "QUEUED"
    PROBING = "PROBING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    INVALID = "INVALID"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    IDLE = "IDLE"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        """Whether a trial in this state will never run again."""
        return self in _FINAL


_FINAL = frozenset({TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.REJECTED})
_S = TrialStatus

TRANSITIONS = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.PROBING, _S.RUNNING, _S.REJECTED, _S.CANCELLED, _S.FAILED}),
        _S.PROBING: frozenset({_S.QUEUED, _S.RUNNING, _S.REJECTED, _S.CANCELLED, _S.FAILED}),
        _S.RUNNING: frozenset(
            {_S.COMPLETED, _S.INVALID, _S.FAILED, _S.REJECTED, _S.CANCELLED, _S.QUEUED}
        ),
        _S.INVALID: frozenset({_S.QUEUED, _S.RUNNING, _S.FAILED, _S.REJECTED}),
        _S.CANCELLED: frozenset({_S.QUEUED, _S.RUNNING}),
        _S.COMPLETED: frozenset[TrialStatus](),
        _S.FAILED: frozenset[TrialStatus](),
        _S.REJECTED: frozenset[TrialStatus](),
        _S.IDLE: frozenset[TrialStatus](),
        _S.STOPPED: frozenset[TrialStatus](),
    }
)
"""For each status, the statuses that a trial may take next."""
