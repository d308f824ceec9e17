"""What happens to the scheduler's core, and what it answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aiotune._gpu import Claim, DeviceMemory, Lease
from aiotune.scheduler._admission import Need

__all__ = (
    "AttemptConcluded",
    "CancelProposals",
    "Command",
    "DeviceBack",
    "DeviceBroke",
    "DeviceHeld",
    "EndedBy",
    "Finish",
    "Launch",
    "LimitSharing",
    "Measurement",
    "MemoryMeasured",
    "PlaceTaken",
    "ProposalEnded",
    "Propose",
    "Reject",
    "StepsTimed",
    "Stimulus",
    "StopAttempt",
    "StopReason",
    "StopRequested",
    "TrialDropped",
    "TrialProposed",
    "TrialWeighed",
    "Weigh",
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


class EndedBy(StrEnum):
    """Why the scheduler itself ended an attempt."""

    SEARCH_STOPPED = "search stopped"
    TIME_LIMIT = "time limit"
    STALLED = "stalled"
    DEVICE_BROKE = "device broke"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What devices and the host say of their memory at one moment.

    Attributes:
        devices: Memory of each device that answered.
        own: Of each device, bytes that trials' processes use, as far as it is told.
        host_free: Bytes that the host can still give; ``None``: not looked at.
        host_own: Bytes that trials' processes have for themselves.
        utilization: Percent of the last second or so in which something ran, of each device that told.
        claims: What other searches of this host hold; ``None``: not looked at.
    """

    devices: Mapping[str, DeviceMemory] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    host_free: int | None = None
    host_own: Mapping[str, int] = field(default_factory=dict)
    utilization: Mapping[str, int] = field(default_factory=dict)
    claims: Sequence[Claim] | None = None


# ── stimuli: what happened ─────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class TrialProposed:
    """The oracle answered a proposal request, whichever, with a trial to run.

    ``need`` is what is known of its memory already; ``None``: it has to be weighed.
    """

    trial_id: str
    need: Need | None = None


@dataclass(frozen=True, slots=True)
class ProposalEnded:
    """A proposal request ended without a trial: nothing was left to run, or it was cancelled.

    What was requeued after ``request`` was made may not have been seen by it.
    """

    request: int


@dataclass(frozen=True, slots=True)
class TrialWeighed:
    """What could be found out of a trial's memory."""

    trial_id: str
    need: Need


@dataclass(frozen=True, slots=True)
class TrialDropped:
    """A trial that was being weighed or rejected will not run: its end is recorded, or the search stops."""

    trial_id: str


@dataclass(frozen=True, slots=True)
class AttemptConcluded:
    """An attempt's process is gone, its slot is free and its outcome is recorded.

    ``requeued`` says that the oracle will hand out the same trial again, or
    another in its place if it was rejected;
    ``measured`` was taken after the process's end.
    """

    trial_id: str
    requeued: bool
    measured: Measurement = Measurement()


@dataclass(frozen=True, slots=True)
class MemoryMeasured:
    """Devices and host were asked."""

    measured: Measurement


@dataclass(frozen=True, slots=True)
class PlaceTaken:
    """Another search has claimed a device of an attempt that has not begun; the trial is to go elsewhere."""

    trial_id: str
    need: Need
    claims: Sequence[Claim]


@dataclass(frozen=True, slots=True)
class DeviceBroke:
    """A device is lost, or not to be trusted any more; or for now, if it may return."""

    uuid: str
    reason: str
    may_return: bool = False


@dataclass(frozen=True, slots=True)
class DeviceHeld:
    """A device has not answered, and gets no new trial until it does; or it has. What runs there goes on."""

    uuid: str
    held: bool


@dataclass(frozen=True, slots=True)
class DeviceBack:
    """A device whose memory had not been given back has it now, and can be used again."""

    uuid: str


@dataclass(frozen=True, slots=True)
class StepsTimed:
    """A running trial took ``seconds`` for ``batches`` training batches that have just ended."""

    trial_id: str
    batches: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The search must end. The first reason counts; a later one only shortens the grace."""

    reason: StopReason
    grace: float


Stimulus = (
    TrialProposed
    | ProposalEnded
    | TrialWeighed
    | TrialDropped
    | AttemptConcluded
    | MemoryMeasured
    | PlaceTaken
    | DeviceBroke
    | DeviceBack
    | DeviceHeld
    | StepsTimed
    | StopRequested
)

# ── commands: what to do ───────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Propose:
    """Ask the oracle for a trial; requests are numbered from 1."""

    request: int


@dataclass(frozen=True, slots=True)
class CancelProposals:
    """Give up all proposals and weighings under way; each still ends with a stimulus."""


@dataclass(frozen=True, slots=True)
class Weigh:
    """Find out how much memory a trial needs; ``known`` if only a trace is wanted."""

    trial_id: str
    known: Need | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Record that a trial can never run here, and why."""

    trial_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Start an attempt of a trial with a lease; ``neighbours`` share its device."""

    trial_id: str
    lease: Lease
    need: Need
    neighbours: int = 0


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """End a running attempt: ask, and after ``grace`` seconds insist."""

    trial_id: str
    grace: float
    why: EndedBy = EndedBy.SEARCH_STOPPED


@dataclass(frozen=True, slots=True)
class LimitSharing:
    """Tell that fewer trials, or more, share a device from now on."""

    uuid: str
    most: int
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing runs any more and nothing is to come; always the last command."""

    reason: StopReason | None


Command = Propose | CancelProposals | Weigh | Reject | Launch | StopAttempt | LimitSharing | Finish
