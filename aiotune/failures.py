"""Why an attempt of a trial ended without a result."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ("FailureKind", "MemoryCause", "OutOfMemory", "TrialFailure")


class FailureKind(StrEnum):
    """What went wrong, named by what follows from it. Persisted: add, never reuse."""

    ERROR = "error"
    """The user's code raised an exception."""
    NOT_FINITE = "not_finite"
    """The objective was NaN or infinite."""
    OUT_OF_MEMORY = "out_of_memory"
    """A ``MemoryError`` or a device's out-of-memory error. A scheduler answers it with
    more memory, which does not count; only a caller of ask and tell uses up a retry."""
    EXITED = "exited"
    """The worker process ended by itself and left no result."""
    CRASHED = "crashed"
    """The worker process died of a signal such as SIGSEGV."""
    KILLED = "killed"
    """Somebody else sent SIGKILL; the kernel's out-of-memory killer, as a rule."""
    TERMINATED = "terminated"
    """Somebody else asked the worker to end, by SIGTERM, SIGINT, SIGHUP or SIGUSR1. Not the
    trial's fault, unless it happens to it alone, again and again."""
    TIMED_OUT = "timed_out"
    """The attempt outlived ``trial_timeout``."""
    STALLED = "stalled"
    """The attempt showed no sign of life for ``stall_timeout``."""
    FAILED_TRIAL = "failed_trial"
    """The user raised ``FailedTrialError``: final, never retried."""
    OVERSIZED = "oversized"
    """The model has more parameters than ``max_model_size``, or fits no device: final."""
    FATAL = "fatal"
    """The user raised ``FatalError``, or returned what cannot be a result."""
    CANCELLED = "cancelled"
    """The search stopped this attempt. Not the trial's fault."""
    DEVICE_LOST = "device_lost"
    """The GPU under the attempt failed. Not the trial's fault."""
    LOST = "lost"
    """The tuner itself died while the attempt ran. Not the trial's fault."""
    SPAWN_FAILED = "spawn_failed"
    """No process could be started. Not the trial's fault."""

    FORK_REFUSED = "fork_refused"
    """The back end does not work in a forked process. Not the trial's fault; the next runs in a fresh one."""

    @property
    def uses_up_a_retry(self) -> bool:
        """Whether this counts against ``max_retries_per_trial``."""
        return self in _COUNTED

    @property
    def may_be_retried(self) -> bool:
        """Whether running the same trial again can help."""
        return self not in _FINAL


_COUNTED = frozenset(
    {
        FailureKind.ERROR,
        FailureKind.NOT_FINITE,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.EXITED,
        FailureKind.CRASHED,
        FailureKind.KILLED,
        FailureKind.TIMED_OUT,
        FailureKind.STALLED,
    }
)
_FINAL = frozenset({FailureKind.FAILED_TRIAL, FailureKind.OVERSIZED, FailureKind.FATAL})


class MemoryCause(StrEnum):
    """Whose memory ran out, named by what follows from it. Persisted: add, never reuse."""

    DEVICE = "device"
    """The trial's own tensors: a larger share of the device helps."""
    WORKSPACE = "workspace"
    """A library of the driver (cuDNN, cuBLAS, NCCL) found no room beside the tensors."""
    FRAGMENTATION = "fragmentation"
    """There was room, but not in one piece."""
    FOREIGN = "foreign"
    """The device was full, and not of this trial. Not the trial's fault."""
    HOST = "host"
    """The host's memory, not a device's."""


class OutOfMemory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of memory that ran out, in bytes; ``None`` where nobody told.

    Attributes:
        cause: Whose memory.
        asked: The allocation that failed.
        limit: What the back end was allowed.
        in_use: What it had taken when it failed.
        peak: The most that it had taken.
        free: What the driver had left on the device.
    """

    cause: MemoryCause
    asked: int | None = None
    limit: int | None = None
    in_use: int | None = None
    peak: int | None = None
    free: int | None = None


class TrialFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One failed attempt, as text and numbers; it crosses processes and the journal.

    Attributes:
        kind: What follows from the failure.
        type: The exception's class name, e.g. ``"ValueError"``; empty if no exception.
        message: The exception's text, or a sentence made from the exit status.
        traceback: The formatted traceback in the worker, if there was one.
        mro: Qualified names (``module.Class``) of the exception's classes, most derived first.
        exit_code: The worker's exit code, if that is how it ended.
        signal: The name of the signal that ended the worker, e.g. ``"SIGSEGV"``.
        log_path: Where the attempt's output is.
        memory: What is known of memory that ran out, if that is the failure.
    """

    kind: FailureKind
    type: str = ""
    message: str = ""
    traceback: str = ""
    mro: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: str | None = None
    log_path: str | None = None
    memory: OutOfMemory | None = None

    def summary(self) -> str:
        """Return one line: ``ValueError: units must be positive``."""
        first = self.message.strip().splitlines()[0] if self.message.strip() else ""
        return ": ".join(filter(None, (self.type, first))) or self.kind.value
