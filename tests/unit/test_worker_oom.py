"""Memory that ran out, told from everything else, by real messages of back ends."""

from __future__ import annotations

import builtins
import errno
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiotune.failures import MemoryCause, OutOfMemory
from aiotune.worker._oom import Counters, classify_memory, may_be_memory
from aiotune.worker._oom_numbers import numbers_in

MIB, GIB = 1 << 20, 1 << 30
CATALOGUE = Path(__file__).parents[1] / "data/oom_messages.jsonl"
USERS = frozenset({"user", "python"})


class Entry(msgspec.Struct, frozen=True):
    """One message as it was raised; ``fragment``: a part of it, as a log quoted it."""

    text: str
    type: str
    module: str
    base: str
    backend: str
    cause: MemoryCause | None
    source: str
    errno: int | None = None
    on_device: bool | None = None
    fragment: bool = False

    def exception(self) -> BaseException:
        base = getattr(builtins, self.base)
        if self.errno is not None:
            error: BaseException = base(self.errno, self.text.partition("] ")[2])
            return error
        if issubclass(base, UnicodeError):
            base = ValueError
        names = {"__module__": self.module, "__str__": lambda _: self.text}
        cls: type[BaseException] = base if self.module == "builtins" else _class(self, base, names)
        return cls(self.text)


def _class(entry: Entry, base: type[BaseException], names: dict[str, Any]) -> type[BaseException]:
    return type(entry.type, (base,), names)


def catalogue() -> list[Entry]:
    return [msgspec.json.decode(line, type=Entry) for line in CATALOGUE.read_bytes().splitlines()]


def found(entry: Entry) -> MemoryCause | None:
    memory = classify_memory(entry.exception(), Counters(on_device=entry.on_device))
    return None if memory is None else memory.cause


def backend_error(name: str, text: str) -> Exception:
    error: Exception = type(name, (RuntimeError,), {"__module__": "jaxlib"})(text)
    return error


def test_catalogue_is_large_and_covers_every_back_end() -> None:
    """There are over a hundred messages of memory, and sixty of other failures."""
    entries = catalogue()

    assert sum(e.cause is not None for e in entries) >= 100
    assert sum(e.cause is None for e in entries) >= 60
    assert {e.backend for e in entries if e.cause} >= {
        "tensorflow", "jax", "torch", "cudnn", "cublas", "nccl", "numpy", "python", "xla",
    }  # fmt: skip


def test_messages_are_told_apart() -> None:
    """At least 99 of 100 real messages get the right cause, or none."""
    entries = catalogue()

    misses = [e for e in entries if found(e) is not e.cause]

    for miss in misses:
        print(f"{miss.source} {miss.type}: {found(miss)}, not {miss.cause}: {miss.text[:200]!r}")  # noqa: T201 - whoever tunes the patterns reads it
    assert len(misses) <= len(entries) // 100


def test_no_error_of_a_program_is_taken_for_memory() -> None:
    """What a user's code or Python raised for another reason never counts, whatever it says."""
    entries = [e for e in catalogue() if e.cause is None and e.backend in USERS]

    assert len(entries) >= 25
    assert [e for e in entries if found(e) is not None] == []


@pytest.mark.parametrize(
    "text",
    [
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "FAILED_PRECONDITION: DNN library initialization failed.",
        "Unable to find a valid cuDNN algorithm to run convolution",
        "No algorithm worked!",
    ],
)
def test_ambiguous_failure_counts_only_on_a_full_device(text: str) -> None:
    """A library that failed beside full memory lacked a workspace; beside free memory it did not."""
    error = backend_error("XlaRuntimeError", text)
    full = Counters(on_device=True, free=100 * MIB, total=80 * GIB)
    empty = Counters(on_device=True, free=40 * GIB, total=80 * GIB)

    assert may_be_memory(error)
    assert classify_memory(error, full) == OutOfMemory(cause=MemoryCause.WORKSPACE, free=100 * MIB)
    assert classify_memory(error, empty) is None
    assert classify_memory(error, Counters()) is None


def test_limit_that_is_used_up_makes_an_ambiguous_failure_one_of_memory() -> None:
    """A pool at its limit is as full as a device."""
    error = backend_error("XlaRuntimeError", "No algorithm worked!")

    memory = classify_memory(error, Counters(on_device=True, limit=GIB, in_use=GIB - MIB))

    assert memory is not None
    assert memory.cause is MemoryCause.WORKSPACE


ASKED_2_GIB = f"RESOURCE_EXHAUSTED: Out of memory while trying to allocate {2 * GIB} bytes."


@pytest.mark.parametrize(
    ("in_use", "free", "cause"),
    [
        (7 * GIB, 30 * GIB, MemoryCause.DEVICE),
        (3 * GIB, 1 * GIB, MemoryCause.FOREIGN),
        (3 * GIB, 30 * GIB, MemoryCause.FRAGMENTATION),
        (None, 30 * GIB, MemoryCause.DEVICE),
        (3 * GIB, None, MemoryCause.DEVICE),
    ],
)
def test_counters_tell_whose_memory(
    in_use: int | None, free: int | None, cause: MemoryCause
) -> None:
    """Under its limit a trial is not at fault: others are if the device is full, else holes are."""
    counters = Counters(
        on_device=True, limit=8 * GIB, in_use=in_use, peak=7 * GIB, free=free, total=80 * GIB
    )

    memory = classify_memory(backend_error("JaxRuntimeError", ASKED_2_GIB), counters)

    assert memory == OutOfMemory(
        cause=cause, asked=2 * GIB, limit=8 * GIB, in_use=in_use, peak=7 * GIB, free=free
    )


def test_numbers_of_the_text_come_before_counters() -> None:
    """What torch says of the moment of failure is truer than what is counted after it."""
    text = (
        "CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of 80.00 GiB "
        "of which 60.00 GiB is free. Including non-PyTorch memory, this process has 8.50 GiB memory "
        "in use. 8.00 GiB allowed; Of the allocated memory 7.75 GiB is allocated by PyTorch, and "
        "100.00 MiB is reserved by PyTorch but unallocated."
    )
    error = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})(text)

    memory = classify_memory(error, Counters(on_device=True, limit=9 * GIB, in_use=1, free=2))

    assert memory == OutOfMemory(
        cause=MemoryCause.DEVICE,
        asked=512 * MIB,
        limit=8 * GIB,
        in_use=round(7.75 * GIB) + 100 * MIB,
        free=60 * GIB,
    )


def test_others_that_fill_the_device_are_seen_in_the_text() -> None:
    """Torch names the other processes: without them there would have been room."""
    text = (
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 80.00 GiB of "
        "which 1.00 GiB is free. Process 7 has 70.00 GiB memory in use. Including non-PyTorch "
        "memory, this process has 8.50 GiB memory in use. Of the allocated memory 7.75 GiB is "
        "allocated by PyTorch, and 100.00 MiB is reserved by PyTorch but unallocated."
    )
    error = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})(text)

    memory = classify_memory(error, Counters())

    assert memory is not None
    assert memory.cause is MemoryCause.FOREIGN


def test_text_that_names_no_device_is_the_hosts_where_none_is_used() -> None:
    """JAX says the same of both memories; without a GPU it can only be the host's."""
    error = backend_error(
        "JaxRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."
    )

    memory = classify_memory(error, Counters(on_device=False))

    assert memory == OutOfMemory(cause=MemoryCause.HOST, asked=9)


def test_member_of_a_group_and_cause_are_found() -> None:
    """A task group and a layer's call wrap what happened; it is found within."""
    inner = ValueError("Exception encountered when calling Dense.call()")
    inner.__cause__ = MemoryError()
    group = ExceptionGroup("tasks", [KeyError("a"), inner])

    memory = classify_memory(group, Counters())

    assert memory == OutOfMemory(cause=MemoryCause.HOST)


def test_text_of_a_back_end_in_kerass_own_error_is_believed() -> None:
    """Keras raises a RuntimeError where it cannot build the back end's class again."""
    error = RuntimeError(
        "Exception encountered when calling Dense.call().\n\nOOM when allocating tensor with "
        "shape[1024,1024] and type half on /job:localhost/replica:0/task:0/device:GPU:0 by "
        "allocator GPU_0_bfc"
    )

    memory = classify_memory(error, Counters(on_device=True))

    assert memory == OutOfMemory(cause=MemoryCause.DEVICE, asked=2 * MIB)


def test_only_the_kernels_want_of_memory_counts_among_os_errors() -> None:
    """ENOMEM is the host's memory; a full disk and a full table of locked pages are not."""
    no_memory = OSError(errno.ENOMEM, "Cannot allocate memory")

    memory = classify_memory(no_memory, Counters())

    assert memory == OutOfMemory(cause=MemoryCause.HOST)
    assert classify_memory(OSError(errno.ENOSPC, "No space left"), Counters()) is None
    locked = OSError(errno.ENOMEM, "ibv_reg_mr: Cannot allocate memory")
    assert classify_memory(locked, Counters()) is None


def test_error_whose_text_fails_is_no_lack_of_memory() -> None:
    """A broken ``__str__`` is survived."""

    class Broken(RuntimeError):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert classify_memory(Broken(), Counters()) is None


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("CUDA out of memory. Tried to allocate 76.00 MiB. GPU 0 has", 76 * MIB),
        ("Failed to allocate request for 1.50GiB (1610612736B) on device ordinal 0", 1610612736),
        ("Allocator (GPU_0_bfc) ran out of memory trying to allocate 16.00MiB (rounded to 16777472)"
         , 16777472),
        ("Out of memory allocating 25,600,000 bytes (allocated so far: 3 bytes).", 25_600_000),
        ("Unable to allocate 201. GiB for an array with shape (2999, 2999, 2999)", 201 * GIB),
        ("Attempting to reserve 6.50G at the bottom of memory. That was not", round(6.5 * GIB)),
        ("OOM when allocating tensor with shape[8,8] and type double on", 512),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 400 bytes.", 400),
        ("Failed to CUDA calloc async 4 bytes", 4),
        ("the trial ran out of luck", None),
    ],
)  # fmt: skip
def test_what_was_asked_for_is_read(text: str, asked: int | None) -> None:
    """Each back end's way to write an amount is understood."""
    assert numbers_in(text).asked == asked
