"""What happens to the scheduler's core, and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = (
    "AttemptConcluded",
    "CancelProposals",
    "Command",
    "Finish",
    "Launch",
    "ProposalEnded",
    "Propose",
    "Stimulus",
    "StopAttempt",
    "StopReason",
    "StopRequested",
    "TrialProposed",
)


class StopReason(StrEnum):
    """Why a search ends before its budget is spent."""

    FATAL = "fatal"
    """A trial raised FatalError."""
    ABORTED = "aborted"
    """Too many trials failed in a row."""
    CANCELLED = "cancelled"
    """The caller cancelled the search, or pressed Ctrl-C."""
    ERROR = "error"
    """Something of the tuner failed: the journal, the executor, the oracle."""


# ── stimuli: what happened ─────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class TrialProposed:
    """The oracle answered a proposal request with a trial to run."""

    trial_id: str


@dataclass(frozen=True, slots=True)
class ProposalEnded:
    """A proposal request ended without a trial: nothing is left to run, or it was cancelled."""


@dataclass(frozen=True, slots=True)
class AttemptConcluded:
    """An attempt's process is gone, its slot is free and its outcome is recorded.

    ``requeued`` says that the oracle will hand out the same trial again.
    """

    trial_id: str
    requeued: bool


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The search must end. The first reason counts; a later one only shortens the grace."""

    reason: StopReason
    grace: float


Stimulus = TrialProposed | ProposalEnded | AttemptConcluded | StopRequested

# ── commands: what to do ───────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Propose:
    """Ask the oracle for a trial."""


@dataclass(frozen=True, slots=True)
class CancelProposals:
    """Give up all proposal requests under way; each still ends with a stimulus."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Start an attempt of a trial in a slot."""

    trial_id: str
    slot: int


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """End a running attempt: ask, and after ``grace`` seconds insist."""

    trial_id: str
    grace: float


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing runs any more and nothing is to come; always the last command."""

    reason: StopReason | None


Command = Propose | CancelProposals | Launch | StopAttempt | Finish
