"""From an exception to what the parent is told: text and a kind, never an object."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from aiotune.errors import FailedTrialError, FatalError, OversizedModelError, PayloadError
from aiotune.failures import FailureKind, TrialFailure

__all__ = ("describe_exception",)

_MESSAGE_LIMIT = 8 * 1024
_TRACEBACK_LIMIT = 64 * 1024

_OWN_CODE = f"{Path(__file__).parent.parent}/"

_OUT_OF_MEMORY_CLASSES = frozenset({"ResourceExhaustedError", "OutOfMemoryError"})
_OUT_OF_MEMORY_TEXT = re.compile(
    r"RESOURCE_EXHAUSTED|Out of memory (?:allocating|while trying to allocate)"
    r"|out of memory|OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED|OOM when allocating"
    r"|DefaultCPUAllocator|std::bad_alloc|Cannot allocate memory|Failed to allocate request for"
)
# Texts are only believed from classes that back ends raise: a user's
# ValueError may well speak of memory.
_BACK_END_CLASSES = (RuntimeError, OSError)
_BACK_END_NAMES = frozenset({"InternalError", "OpError"})


def describe_exception(error: BaseException) -> TrialFailure:
    """Describe an exception for the journal and for people.

    Args:
        error: Whatever the user's code raised; its ``__str__`` may be broken.

    Returns:
        The failure. Its message is cut after 8 KiB, its traceback after
        64 KiB; the frames of this package in front of the user's are left out.
    """
    cls = type(error)
    return TrialFailure(
        kind=_kind(error),
        type=cls.__name__,
        message=_cut(_printable(_text(error)), _MESSAGE_LIMIT),
        traceback=_cut(_printable(_traceback(error)), _TRACEBACK_LIMIT),
        mro=tuple(f"{c.__module__}.{c.__qualname__}" for c in cls.__mro__ if c is not object),
    )


def _kind(error: BaseException) -> FailureKind:
    # A payload that cannot be loaded would fail every trial alike.
    if isinstance(error, (FatalError, PayloadError)):
        return FailureKind.FATAL
    if isinstance(error, OversizedModelError):
        return FailureKind.OVERSIZED
    if isinstance(error, FailedTrialError):
        return FailureKind.FAILED_TRIAL
    if any(_is_out_of_memory(link) for link in _chain(error)):
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.ERROR


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _OUT_OF_MEMORY_CLASSES:
        return True
    if isinstance(error, _BACK_END_CLASSES) or names & _BACK_END_NAMES:
        return _OUT_OF_MEMORY_TEXT.search(_text(error)) is not None
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    # Keras raises again from within a layer's call; the cause tells the truth.
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may do anything
        return f"<str() of this exception raised {type(broken).__name__}>"


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
