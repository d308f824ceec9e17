"""From exceptions to text."""

from __future__ import annotations

import msgspec
import pytest

from aiotune.errors import (
    FailedTrialError,
    FatalError,
    FatalValueError,
    OversizedModelError,
    PayloadError,
)
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.worker import describe_exception
from aiotune.worker._oom import Counters


class _MyFatal(FatalError):
    """A user's own."""


class ResourceExhaustedError(Exception):
    """Named like TensorFlow's."""


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


class JaxRuntimeError(RuntimeError):
    """Named like JAX's."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("units"), FailureKind.ERROR),
        (FailedTrialError("no"), FailureKind.FAILED_TRIAL),
        (OversizedModelError("big"), FailureKind.OVERSIZED),
        (FatalError("stop"), FailureKind.FATAL),
        (FatalValueError("stop"), FailureKind.FATAL),
        (_MyFatal("stop"), FailureKind.FATAL),
        (PayloadError("cannot load"), FailureKind.FATAL),
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
        (OSError(12, "Cannot allocate memory"), FailureKind.OUT_OF_MEMORY),
        (ResourceExhaustedError("OOM when allocating"), FailureKind.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA out of memory. Tried ..."), FailureKind.OUT_OF_MEMORY),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when ..."), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("shapes differ"), FailureKind.ERROR),
        (ValueError("we ran out of memory cards"), FailureKind.ERROR),
        (KeyboardInterrupt(), FailureKind.ERROR),
    ],
)
def test_kind_follows_class_and_text(error: BaseException, kind: FailureKind) -> None:
    """Each exception is filed under what follows from it."""
    assert describe_exception(error).kind is kind


def test_memory_that_ran_out_is_told_in_numbers() -> None:
    """The failure says whose memory ran out, what was asked for and what was counted."""
    error = JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 96 bytes.")
    counters = Counters(on_device=True, limit=128, in_use=64, peak=80, free=1 << 40)

    failure = describe_exception(error, lambda: counters)

    assert failure.memory == OutOfMemory(
        cause=MemoryCause.DEVICE, asked=96, limit=128, in_use=64, peak=80, free=1 << 40
    )


def test_nothing_is_counted_for_other_failures() -> None:
    """The driver is not asked because of a wrong shape."""

    def count() -> Counters:
        raise AssertionError("counted")

    failure = describe_exception(RuntimeError("shapes differ"), count)

    assert (failure.kind, failure.memory) == (FailureKind.ERROR, None)


def _after_memory_error(error: Exception, *, hidden: bool) -> Exception:
    error.__context__ = MemoryError()
    error.__suppress_context__ = hidden
    return error


def test_out_of_memory_is_found_behind_another_error() -> None:
    """An error that was raised because of a lack of memory counts as one."""
    error = _after_memory_error(ValueError("Exception encountered"), hidden=False)

    failure = describe_exception(error)

    assert failure.kind is FailureKind.OUT_OF_MEMORY
    assert failure.type == "ValueError"


def test_suppressed_context_does_not_count() -> None:
    """An error raised ``from None`` speaks for itself."""
    error = _after_memory_error(ValueError("something else"), hidden=True)

    assert describe_exception(error).kind is FailureKind.ERROR


def test_endless_chain_of_causes_ends() -> None:
    """Exceptions that name each other as cause are followed once."""
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first

    assert describe_exception(first).kind is FailureKind.ERROR


def test_names_and_message_travel() -> None:
    """The parent can rebuild the class from its qualified names."""
    failure = describe_exception(_MyFatal("bad data"))

    assert (failure.type, failure.message) == ("_MyFatal", "bad data")
    assert failure.mro[0] == f"{__name__}._MyFatal"
    assert failure.mro[1] == "aiotune.errors.FatalError"


def test_broken_str_survives() -> None:
    """An exception whose own text fails is still described."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    failure = describe_exception(Broken())

    assert failure.type == "Broken"
    assert failure.message == "<str() of this exception raised ZeroDivisionError>"


def test_long_texts_are_cut_in_their_middle() -> None:
    """A message keeps its beginning and its end within 8 KiB."""
    failure = describe_exception(ValueError("start " + "ä" * 1_000_000 + " end"))

    assert len(failure.message.encode()) <= 8 * 1024
    assert failure.message.startswith("start ")
    assert failure.message.endswith(" end")
    assert "bytes left out" in failure.message
    assert len(failure.traceback.encode()) <= 64 * 1024


def test_text_that_is_not_unicode_can_be_sent() -> None:
    """A lone surrogate, as in odd file names, is escaped."""
    failure = describe_exception(ValueError("file \udcff"))

    assert failure.message == "file \\udcff"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=TrialFailure) == failure


def test_traceback_begins_with_the_users_frames() -> None:
    """Our own frames in front of the user's are noise; those behind it are not."""

    def user_code() -> None:
        HyperParameters().Int("units", 10, 1)

    def build(hp: HyperParameters) -> None:
        user_code()

    with pytest.raises(ValueError, match="units") as caught:
        build(HyperParameters())
    text = describe_exception(caught.value).traceback

    assert text.startswith("Traceback (most recent call last):\n")
    assert "user_code" in text
    assert "hyperparameters" in text


def test_notes_and_cause_are_in_the_traceback() -> None:
    """What the user attached to an exception is shown."""
    error = ValueError("units")
    error.add_note("while building block 3")
    error.__cause__ = KeyError("lr")

    text = describe_exception(error).traceback

    assert "while building block 3" in text
    assert "KeyError: 'lr'" in text
