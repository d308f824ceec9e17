"""Holds a worker's back end to its lease, and its threads to the processors next to its GPU.

Each back end has a switch of its own, and all but torch's work only before
the back end first touches the GPU. None of them counts the driver's context.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType
from typing import Any

from aiotune.memory import MemoryLimit

__all__ = ("limit_memory",)

_MIB = 1 << 20
_TORCH_READS_FRACTION = (2, 13)
_JAX_NAME, _JAX_OLD_NAME = "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"


def limit_memory(limit: MemoryLimit | None, cpus: Iterable[int]) -> None:
    """Apply an order's memory limit and processors to this process, before any of the user's code.

    On GPUs: a fraction of each visible device for torch, one of all for JAX, a logical
    device for TensorFlow, for those of them that are imported or named by
    ``KERAS_BACKEND``; no device is touched for torch and JAX. With a
    ``device_total`` of 0 the host's memory is meant, and the process may grow
    by ``bytes`` of data.

    Args:
        limit: ``None``: as much as there is.
        cpus: Processors; those that this process may not use are left out, and
            if none is left, nothing changes.
    """
    _stay_near(cpus)
    if limit is None:
        return
    if limit.device_total <= 0:
        _limit_host(limit.bytes)
        return
    _limit_jax(limit.fraction_of_all)
    _limit_torch(limit)
    _limit_tensorflow(limit.bytes)


def _stay_near(cpus: Iterable[int]) -> None:
    wanted = os.sched_getaffinity(0) & set(cpus)
    if not wanted:
        return
    # A processor may have gone, or a container have narrowed the set, meanwhile.
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, wanted)


def _limit_host(more: int) -> None:
    # RLIMIT_AS would count what TensorFlow maps and never touches. RLIMIT_DATA
    # counts private writable pages: what an allocation takes.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = _data_bytes() + more
    for known in (soft, hard):
        if known != resource.RLIM_INFINITY:
            bound = min(bound, known)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


def _data_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    return pages * resource.getpagesize()


def _limit_jax(fraction: float) -> None:
    # Read when JAX makes its GPU client. Both names at once are an error, so an
    # inherited one goes; the lease is what counts.
    os.environ.pop(_JAX_NAME, None)
    os.environ.pop(_JAX_OLD_NAME, None)
    name = _JAX_NAME if _jax_knows_new_name() else _JAX_OLD_NAME
    os.environ[name] = _decimal(fraction)
    # To take the whole lease at once is slower, and hides what is needed from other eyes.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _jax_knows_new_name() -> bool:
    # The release notes do not say when the name changed; the code does.
    client = sys.modules.get("jaxlib.xla_client")
    if client is None:
        return _version_of("jaxlib") >= (0, 10)
    codes = [
        code for value in vars(client).values() if isinstance(code := _code_of(value), CodeType)
    ]
    return not codes or any(_JAX_NAME in code.co_consts for code in codes)


def _code_of(value: Any) -> Any:
    return getattr(value, "__code__", None)


def _limit_torch(limit: MemoryLimit) -> None:
    torch = sys.modules.get("torch")
    if torch is None:
        if os.environ.get("KERAS_BACKEND") == "torch":
            _limit_torch_by_environment(limit.fraction_of_all)
        return
    if not torch.backends.cuda.is_built():
        return
    # set_per_process_memory_fraction() starts CUDA, which takes a context's
    # memory and half a second, also where no GPU is ever used. torch keeps a
    # list of what to call once it has started; seeds are set in the same way.
    defer = getattr(torch.cuda, "_lazy_call", None)
    apply = functools.partial(_cap_torch, torch.cuda, limit)
    if defer is not None:
        defer(apply)
    elif torch.cuda.is_available():
        apply()


def _cap_torch(cuda: Any, limit: MemoryLimit) -> None:
    # A program that has hidden some of its devices sees others under these numbers.
    count, each = cuda.device_count(), limit.fractions
    if count != len(each):
        each = (limit.fraction_of_all,) * count
    for index, fraction in enumerate(each):
        cuda.set_per_process_memory_fraction(fraction, index)


def _limit_torch_by_environment(fraction: float) -> None:
    # An older torch refuses a key that it does not know.
    if _version_of("torch") < _TORCH_READS_FRACTION:
        return
    old = "PYTORCH_CUDA_ALLOC_CONF"  # read first, if it is set
    name = old if os.environ.get(old) else "PYTORCH_ALLOC_CONF"
    given = os.environ.get(name, "")
    if "per_process_memory_fraction" not in given:
        own = f"per_process_memory_fraction:{_decimal(fraction)}"
        os.environ[name] = f"{given},{own}" if given else own


def _limit_tensorflow(limit: int) -> None:
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return
    config = tensorflow.config
    try:
        gpus = [
            gpu
            for gpu in config.list_physical_devices("GPU")
            if config.get_logical_device_configuration(gpu) is None
            and not config.experimental.get_memory_growth(gpu)
        ]
        if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
            _cap_tensorflow(config, gpus, max(1, limit // _MIB))
        else:
            # TensorFlow only feeds data here; without this it would take its
            # lease, all of it, beside the back end's.
            for gpu in gpus:
                config.experimental.set_memory_growth(gpu, True)
    except (RuntimeError, ValueError) as refused:
        sys.stderr.write(
            "aiotune: TensorFlow could not be held to its share of the GPU, since it was in use or "
            f"configured before the trial began: {refused}\n"
        )


def _cap_tensorflow(config: Any, gpus: list[Any], mebibytes: int) -> None:
    for gpu in gpus:
        config.set_logical_device_configuration(
            gpu, [config.LogicalDeviceConfiguration(memory_limit=mebibytes)]
        )
    if gpus:
        _tolerate_growth(config.experimental, gpus)


def _tolerate_growth(experimental: Any, capped: list[Any]) -> None:
    """Let programs that ask for memory growth run under a limit.

    Many do, in three lines copied from TensorFlow's guide. Growth and a limit
    exclude each other, and TensorFlow answers with a ValueError, which would
    fail every trial. What they want of it, to leave memory to others, the limit does.
    """
    original = experimental.set_memory_growth

    @functools.wraps(original)
    def set_memory_growth(device: Any, enable: bool) -> None:
        if device not in capped:
            original(device, enable)

    experimental.set_memory_growth = set_memory_growth


def _version_of(package: str) -> tuple[int, int]:
    from importlib import metadata

    try:
        major, minor = metadata.version(package).split(".")[:2]
        return int(major), int(minor)
    except (metadata.PackageNotFoundError, ValueError):
        return (0, 0)


def _decimal(fraction: float) -> str:
    # Down, so that the share is never more than the lease.
    return f"{int(fraction * 1e6) / 1e6:.6f}"
