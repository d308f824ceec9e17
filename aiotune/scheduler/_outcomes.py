"""From how a worker ended to the outcome of its attempt: a pure function."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass, replace
from typing import assert_never

import msgspec

from aiotune._asking import ENDS_WORKERS
from aiotune.executors import SpawnError, WorkerExit
from aiotune.failures import FailureKind, TrialFailure
from aiotune.scheduler._commands import EndedBy
from aiotune.status import TrialStatus
from aiotune.wire import Done, Failed

__all__ = (
    "Outcome",
    "classify",
    "exit_in_words",
    "not_begun",
    "not_started",
    "of_another",
    "signal_number",
    "status_after",
)


_SHELL = 128


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: with a result or with a failure, never with both.

    Attributes:
        done: The result.
        failure: The failure.
        lost_with: The trials whose workers somebody else ended in the same moment.
    """

    done: Done | None = None
    failure: TrialFailure | None = None
    lost_with: tuple[str, ...] = ()


def classify(
    last: Done | Failed | None,
    ending: WorkerExit,
    *,
    ended_by: EndedBy | None,
    seconds: float,
    log_path: str,
    log_tail: str = "",
    lost_with: tuple[str, ...] = (),
) -> Outcome:
    """Decide what an attempt's end means.

    A result that arrived counts whatever happened to the process afterwards.

    Args:
        last: The worker's final message, if one came.
        ending: How the process ended.
        ended_by: Set if the scheduler stopped it.
        seconds: How long the attempt ran.
        log_path: The attempt's output, for the messages.
        log_tail: Last lines of that output; quoted where the process left no error.
        lost_with: The trials whose workers somebody else ended in the same moment.
    """
    if isinstance(last, Done):
        return Outcome(done=last)
    if isinstance(last, Failed) and ended_by is not EndedBy.DEVICE_BROKE:
        return Outcome(failure=_with_log(last.failure, log_path))
    if ended_by is not None:
        kind, text = _stopped(ended_by, seconds, log_path)
        return _failure(kind, text, ending, log_path)
    kind = _kind(ending)
    text = f"The worker {exit_in_words(ending)} after {seconds:.1f} s and left no result."
    if kind is FailureKind.OUT_OF_MEMORY:
        text += " The kernel's out-of-memory killer ended it: run fewer trials at once or smaller models."
    elif kind is FailureKind.KILLED:
        text += " Somebody else sent the signal; the out-of-memory killer of a container is a usual cause."
    elif kind is FailureKind.TERMINATED:
        text += " Somebody else sent the signal: a batch system, what watches over memory, or the program itself."
    if log_tail:
        text += f" Last lines of {log_path}:\n{log_tail}"
    outcome = _failure(kind, text, ending, log_path)
    return replace(outcome, lost_with=lost_with) if kind is FailureKind.TERMINATED else outcome


def _stopped(ended_by: EndedBy, seconds: float, log_path: str) -> tuple[FailureKind, str]:
    """Say what it means that the scheduler itself ended an attempt."""
    match ended_by:
        case EndedBy.SEARCH_STOPPED:
            return FailureKind.CANCELLED, "The search stopped this attempt."
        case EndedBy.TIME_LIMIT:
            text = f"The attempt was stopped after {seconds:.0f} s, its trial_timeout."
            return FailureKind.TIMED_OUT, text
        case EndedBy.STALLED:
            text = (
                "The attempt was stopped since it showed no sign of life for stall_timeout (on a GPU that "
                "does not work, CPU time is none). The stacks of its threads are in "
                f"{log_path}."
            )
            return FailureKind.STALLED, text
        case EndedBy.DEVICE_BROKE:
            text = "The attempt was stopped since its GPU is out of order; see device_quarantined."
            return FailureKind.DEVICE_LOST, text
        case _:
            assert_never(ended_by)


def status_after(failure: TrialFailure | None) -> TrialStatus:
    """Return what a failed attempt makes of its trial, before it is decided whether there is another."""
    assert failure is not None
    match failure.kind:
        case FailureKind.CANCELLED:
            return TrialStatus.CANCELLED
        case FailureKind.FAILED_TRIAL:
            return TrialStatus.FAILED
        case FailureKind.OVERSIZED:
            return TrialStatus.REJECTED
        case _:
            return TrialStatus.INVALID


def exit_in_words(ending: WorkerExit) -> str:
    """Return ``was killed by SIGSEGV`` or ``exited with code 3``."""
    number = signal_number(ending)
    if number is not None:
        return f"was killed by {_signal_name(number)}"
    return f"exited with code {ending.exit_code}"


def signal_number(ending: WorkerExit) -> int | None:
    """Return the number of the signal that ended a worker; ``None`` if none did."""
    if ending.signal is not None:
        return ending.signal
    # A shell in between reports a signal as 128 + its number.
    code = ending.exit_code
    if code is not None and _SHELL < code < _SHELL + signals.NSIG:
        return code - _SHELL
    return None


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kind(ending: WorkerExit) -> FailureKind:
    number = signal_number(ending)
    if number is None:
        return FailureKind.EXITED
    if number in ENDS_WORKERS:
        return FailureKind.TERMINATED
    if number != signals.SIGKILL:
        return FailureKind.CRASHED
    return FailureKind.OUT_OF_MEMORY if ending.oom_kills else FailureKind.KILLED


def _failure(kind: FailureKind, message: str, ending: WorkerExit, log_path: str) -> Outcome:
    number = signal_number(ending)
    return Outcome(
        failure=TrialFailure(
            kind=kind,
            message=message,
            exit_code=ending.exit_code,
            signal=None if number is None else _signal_name(number),
            log_path=log_path,
        )
    )


def _with_log(failure: TrialFailure, log_path: str) -> TrialFailure:
    return msgspec.structs.replace(failure, log_path=failure.log_path or log_path)


def of_another(done: Done) -> Failed:
    """Return what to make of a result that names another attempt: the channel was written to by others."""
    failure = TrialFailure(
        kind=FailureKind.ERROR,
        type="FrameError",
        message=f"The worker sent the result of another attempt, {done.attempt_id!r}. Code that writes to "
        "descriptors it did not open is the usual cause.",
    )
    return Failed(failure=failure, values={}, entries=[])


def not_started(error: SpawnError) -> TrialFailure:
    """Return the failure of an attempt that no process could be started for."""
    return TrialFailure(kind=FailureKind.SPAWN_FAILED, type="SpawnError", message=str(error))


def not_begun(error: Exception) -> TrialFailure:
    """Return the failure of an attempt whose hook raised; it is the program's, and the trial runs again."""
    text = f"The attempt was not begun, since what is called before it raised {type(error).__name__}: {error}"
    return TrialFailure(kind=FailureKind.CANCELLED, message=text)
