"""From an exception to what the parent is told: text and a kind, never an object."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from aiotune.errors import FailedTrialError, FatalError, OversizedModelError, PayloadError
from aiotune.failures import FailureKind, OutOfMemory, TrialFailure
from aiotune.worker._oom import Counters, classify_memory, may_be_memory, text_of

__all__ = ("describe_exception",)

_MESSAGE_LIMIT = 8 * 1024
_TRACEBACK_LIMIT = 64 * 1024

_OWN_CODE = f"{Path(__file__).parent.parent}/"


def describe_exception(
    error: BaseException, counters: Callable[[], Counters] = Counters
) -> TrialFailure:
    """Describe an exception for the journal and for people.

    Args:
        error: Whatever the user's code raised; its ``__str__`` may be broken.
        counters: Counts the device's memory; only called if the failure may be
            a lack of it. Default: nothing is known.

    Returns:
        The failure. Its message is cut after 8 KiB, its traceback after
        64 KiB; the frames of this package in front of the user's are left out.
    """
    cls = type(error)
    kind, memory = _kind(error, counters)
    return TrialFailure(
        kind=kind,
        type=cls.__name__,
        message=_cut(_printable(text_of(error)), _MESSAGE_LIMIT),
        traceback=_cut(_printable(_traceback(error)), _TRACEBACK_LIMIT),
        mro=tuple(f"{c.__module__}.{c.__qualname__}" for c in cls.__mro__ if c is not object),
        memory=memory,
    )


def _kind(
    error: BaseException, counters: Callable[[], Counters]
) -> tuple[FailureKind, OutOfMemory | None]:
    # A payload that cannot be loaded would fail every trial alike.
    if isinstance(error, (FatalError, PayloadError)):
        return FailureKind.FATAL, None
    if isinstance(error, OversizedModelError):
        return FailureKind.OVERSIZED, None
    if isinstance(error, FailedTrialError):
        return FailureKind.FAILED_TRIAL, None
    memory = classify_memory(error, counters()) if may_be_memory(error) else None
    if memory is not None:
        return FailureKind.OUT_OF_MEMORY, memory
    return FailureKind.ERROR, None


def _traceback(error: BaseException) -> str:
    try:
        formatted = traceback.TracebackException.from_exception(error)
        frames = formatted.stack
        own = next(
            (i for i, frame in enumerate(frames) if not frame.filename.startswith(_OWN_CODE)),
            0,
        )
        del frames[:own]
        return "".join(formatted.format())
    except Exception as broken:  # noqa: BLE001 - a user's __repr__ or __cause__ may do anything
        return f"<the traceback cannot be formatted: {type(broken).__name__}>"


def _printable(text: str) -> str:
    # A lone surrogate, from a file name that is not UTF-8, cannot be sent as text.
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, limit: int) -> str:
    data = text.encode()
    if len(data) <= limit:
        return text
    note = f"\n[... {len(data) - limit:,} bytes left out ...]\n"
    head, tail = limit // 4, limit - limit // 4 - len(note)
    return data[:head].decode(errors="ignore") + note + data[-tail:].decode(errors="ignore")
