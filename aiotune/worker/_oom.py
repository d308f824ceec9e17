"""Tells memory that ran out from all other failures, and whose memory it was.

Back ends say it in their own classes and words, and the words change with
every version; ``tests/data/oom_messages.jsonl`` keeps real ones. A text is
believed only from a class that a back end raises, and from Python's own
``RuntimeError``, which torch raises too, only if it is one that back ends
write: a program's own error may well speak of memory.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from aiotune.failures import MemoryCause, OutOfMemory
from aiotune.worker._oom_numbers import Told, numbers_in

__all__ = ("Counters", "chain", "classify_memory", "may_be_memory", "text_of")


@dataclass(frozen=True, slots=True)
class Counters:
    """What could be counted when an attempt failed, in bytes; ``None`` where nobody counts.

    Attributes:
        on_device: Whether a back end of this process had begun to use a GPU.
        limit: What it may take of the device.
        in_use: What its tensors held.
        peak: The most that they held.
        free: What the driver had left on the device, for anybody.
        total: All memory of the device.
    """

    on_device: bool | None = None
    limit: int | None = None
    in_use: int | None = None
    peak: int | None = None
    free: int | None = None
    total: int | None = None


class _Evidence(Enum):
    DEVICE = auto()
    WORKSPACE = auto()
    HOST = auto()
    AMBIGUOUS = auto()  # a library's failure that often is a lack of memory


_BACK_ENDS = frozenset({"cupy", "jax", "jaxlib", "tensorflow", "torch"})
_BACK_END_CLASSES = frozenset(
    """
    AbortedError AcceleratorError DistBackendError FailedPreconditionError InternalError
    JaxRuntimeError NotFoundError OpError OutOfMemoryError ResourceExhaustedError UnknownError
    XlaRuntimeError
    """.split()
)
_SAY_IT_BY_NAME = frozenset({"OutOfMemoryError", "ResourceExhaustedError"})

_HOST = re.compile(
    r"DefaultCPUAllocator|by allocator (?:mkl_?)?cpu\b|\b(?:cuda|gpu)_host_bfc\b"
    r"|std::bad_alloc|Unable to allocate [\d.]+ \w+ for an array"
    r"|Torch: not enough memory: you tried to allocate|pinned host memory"
    r"|Cannot allocate memory"
)
_WORKSPACE = re.compile(
    r"CU(?:BLAS|DNN|SOLVER|SPARSE|RAND)_STATUS_ALLOC_FAILED|CUFFT_ALLOC_FAILED"
    r"|(?:cublas|cusolver|cudnn)[\w ]{0,40}: ?(?:the )?resource allocation failed"
    r"|[Cc]uda failure (?:\d+ )?'out of memory'|Failed to CUDA (?:calloc|malloc)"
    r"|[Ff]ailed to allocate (?:\w+ ){0,3}(?:scratch|workspace)"
    r"|[Ss]cratch (?:buffer |space )?allocation failed"
)
_DEVICE = re.compile(
    r"(?:CUDA|HIP|XPU|NPU|MPS backend) out of memory(?:\.| \()"
    r"|(?:CUDA|HIP)(?: (?:driver|runtime))? (?:error|failure):?(?: ?\(?2\)?)? ?:? ?out of memory"
    r"|cuda runtime error \(2\) ?: ?out of memory|cuda failed with error 2\b"
    r"|CUDA_ERROR_OUT_OF_MEMORY"
    r"|cudaErrorMemoryAllocation|hipErrorOutOfMemory"
    r"|cu(?:da)?M(?:em\w*A|a)lloc\w* failed: out of memory"
    r"|OOM when allocating|by allocator \S*GPU_\d+|Dst tensor is not initialized"
    r"|(?:[Rr]an o|[Oo])ut of memory (?:while )?(?:trying to allocate|allocating) [\d.,]+"
    r"|[Ff]ailed to allocate (?:request for|memory\b|\d+ bytes)"
    r"|unable to allocate output tensor|Ran out of memory in memory space hbm"
    r"|Attempting to (?:allocate|reserve) [\d.]+\w*\b.{0,40}?[Tt]hat was not possible"
    r"|not enough GPU video memory"
)
_AMBIGUOUS = re.compile(
    r"CU(?:DNN|BLAS|SOLVER)_STATUS_(?:INTERNAL_ERROR|NOT_INITIALIZED)"
    r"|[Uu]nable to find (?:a valid cuDNN algorithm|an engine)|No algorithm worked"
    r"|Failed to get convolution algorithm|Failed to determine best cudnn convolution"
    r"|DNN library (?:is not found|initialization failed)"
    r"|Blas \w*GEMM\w* launch failed|without BLAS support"
    r"|cu(?:Solver|SOLVER|BLAS|DNN) internal error|unhandled cuda error"
    r"|[Ff]ailed to (?:create|initialize) cu\w+"
)
_DEVICE_BY_NAME = re.compile(r"CUDA|cuda|GPU|gpu|HIP|XPU|MPS|hbm|HBM|Dst tensor")
# TensorFlow and XLA say "resource exhausted" of files, messages and a kernel's shared memory, too.
_OTHER_RESOURCES = re.compile(
    r"No space left|[Qq]uota|[Ss]hared memory|open files|larger than max|\b[sv]mem\b"
    r"|too many resources|[Rr]ate limit"
)
# A limit of the loader and one on locked pages: neither is the host's memory.
_NOT_THE_HOST = re.compile(r"static TLS block|MEMLOCK|memlock|ibv_")

_NEARLY_FULL = 0.05
_NEARLY_FULL_BYTES = 256 << 20
_SEGMENT = 32 << 20  # what torch and BFC take at least for an allocation that is not tiny
_OWN_CONTEXT = 3 << 29
_OTHERS = 0.1
_IDLE = 0.1


def classify_memory(error: BaseException, counters: Counters) -> OutOfMemory | None:
    """Say whether memory ran out, and whose; ``None`` if the failure is another one.

    The first link of the chain that proves it decides. A failure of cuDNN or
    cuBLAS that is often, but not always, a lack of memory counts only where the
    device was nearly full.

    Args:
        error: What was raised; causes, contexts and members of groups are looked at.
        counters: What could be counted at that moment.
    """
    ambiguous = None
    for link in chain(error):
        match _evidence(link):
            case None:
                continue
            case _Evidence.AMBIGUOUS:
                ambiguous = ambiguous or link
            case evidence:
                return _told(evidence, text_of(link), counters)
    if ambiguous is not None and _nearly_full(counters):
        return _told(_Evidence.WORKSPACE, text_of(ambiguous), counters)
    return None


def may_be_memory(error: BaseException) -> bool:
    """Return whether counters could matter: whether any link speaks as memory that ran out does."""
    return any(_evidence(link) is not None for link in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, the members of its group, its causes and contexts, each once.

    A context that was suppressed (``raise ... from None``) is left out.
    """
    # Keras raises again from within a layer's call; the cause tells the truth.
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting.append(link.__cause__ or (None if link.__suppress_context__ else link.__context__))
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(reversed(link.exceptions))


def text_of(error: BaseException) -> str:
    """Return ``str(error)``, or a sentence if that raises."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may do anything
        return f"<str() of this exception raised {type(broken).__name__}>"


def _evidence(error: BaseException) -> _Evidence | None:
    text = text_of(error)
    if isinstance(error, MemoryError):
        # CuPy's and RMM's are MemoryErrors, too.
        own = _root(type(error)) == "cupy" or _DEVICE.search(text)
        return _Evidence.DEVICE if own else _Evidence.HOST
    if isinstance(error, OSError) and not _is_back_ends(error):
        return _Evidence.HOST if _lacks_host_memory(error, text) else None
    if not _is_believed(error):
        return None
    return _by_text(text) or _by_class(error, text)


def _is_believed(error: BaseException) -> bool:
    # Op by op, jaxlib raises XLA's status as a plain ValueError; no program's own begins so.
    if type(error) is ValueError:
        return text_of(error).startswith("RESOURCE_EXHAUSTED: Out of memory")
    return type(error) is RuntimeError or _is_back_ends(error)


def _is_back_ends(error: BaseException) -> bool:
    roots = _back_ends()
    return any(
        _root(cls) in roots or cls.__name__ in _BACK_END_CLASSES for cls in type(error).__mro__
    )


def _back_ends() -> frozenset[str]:
    """Return the packages whose errors are back ends' own: those known, and the one Keras runs on."""
    backend = getattr(sys.modules.get("keras"), "backend", None)
    running = getattr(backend, "backend", None)
    return _BACK_ENDS | {running()} if running is not None else _BACK_ENDS


def _root(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _lacks_host_memory(error: OSError, text: str) -> bool:
    enomem = error.errno == errno.ENOMEM or "errno = 12," in text
    return enomem and _NOT_THE_HOST.search(text) is None


def _by_text(text: str) -> _Evidence | None:
    if _WORKSPACE.search(text):
        return _Evidence.WORKSPACE
    host = _HOST.search(text) and not _NOT_THE_HOST.search(text)
    # TensorFlow names the CPU's allocator after the words it has for all devices.
    if host and not re.search(r"CUDA|by allocator \S*GPU_\d+", text):
        return _Evidence.HOST
    if _DEVICE.search(text):
        return _Evidence.DEVICE
    if _AMBIGUOUS.search(text):
        return _Evidence.AMBIGUOUS
    return None


def _by_class(error: BaseException, text: str) -> _Evidence | None:
    """Believe a back end's class by its name, whatever it says, unless that is another resource."""
    roots = _back_ends()
    genuine = any(
        _root(cls) in roots and cls.__name__ in _SAY_IT_BY_NAME for cls in type(error).__mro__
    )
    said = re.search(r"RESOURCE_EXHAUSTED|[Rr]esource exhausted", text) is not None
    if (genuine or said) and not _OTHER_RESOURCES.search(text):
        return _Evidence.DEVICE
    return None


def _told(evidence: _Evidence, text: str, counters: Counters) -> OutOfMemory:
    told = numbers_in(text)
    # JAX and TensorFlow have the same words for both.
    unplaced = evidence is _Evidence.DEVICE and not _DEVICE_BY_NAME.search(text)
    if evidence is _Evidence.HOST or (unplaced and counters.on_device is False):
        return OutOfMemory(cause=MemoryCause.HOST, asked=told.asked)
    free = told.free if told.free is not None else counters.free
    limit = told.allowed if told.allowed is not None else counters.limit
    in_use = told.reserved if told.reserved is not None else counters.in_use
    cause = MemoryCause.WORKSPACE
    if evidence is _Evidence.DEVICE:
        cause = _device_cause(told, limit=limit, in_use=in_use, free=free)
    return OutOfMemory(
        cause=cause, asked=told.asked, limit=limit, in_use=in_use, peak=counters.peak, free=free
    )


def _device_cause(
    told: Told, *, limit: int | None, in_use: int | None, free: int | None
) -> MemoryCause:
    """Tell a trial's own tensors from holes between them, and both from others' memory."""
    asked = told.asked or 0
    full = free is not None and free < max(asked, _SEGMENT)
    if limit is None:
        if full and _others_hold_it(told):
            return MemoryCause.FOREIGN
    elif in_use is not None and in_use + asked + _SEGMENT <= limit and free is not None:
        return MemoryCause.FOREIGN if full else MemoryCause.FRAGMENTATION
    # "If reserved but unallocated memory is large ...", in numbers.
    large = max(asked, _IDLE * (told.reserved or 0))
    if asked and told.idle is not None and told.idle >= large:
        return MemoryCause.FRAGMENTATION
    return MemoryCause.DEVICE


def _others_hold_it(told: Told) -> bool:
    """Return whether the device would have had room, were it not for other processes."""
    if told.total is None or told.free is None:
        return False
    mine = told.process
    if mine is None:
        if told.reserved is None:
            return False
        mine = told.reserved + _OWN_CONTEXT  # old versions do not count their own context
    others = told.total - told.free - mine
    fits = mine + (told.asked or 0) <= (1 - _NEARLY_FULL) * told.total
    return fits and others >= _OTHERS * told.total


def _nearly_full(counters: Counters) -> bool:
    if counters.free is not None:
        enough = _NEARLY_FULL_BYTES
        if counters.total is not None:
            enough = max(enough, int(_NEARLY_FULL * counters.total))
        if counters.free < enough:
            return True
    if counters.limit is None or counters.in_use is None:
        return False
    return counters.in_use >= (1 - _NEARLY_FULL) * counters.limit
