"""Reads what back ends count of a GPU's memory, and never begins to use one for that."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from aiotune.memory import MemoryLimit, MemoryPeak
from aiotune.worker._oom import Counters

__all__ = ("device_peak", "memory_counters", "settle_variables", "uses_a_device")


def device_peak() -> MemoryPeak | None:
    """Return the most that this process held of one GPU so far.

    The largest over its GPUs; where several back ends use one, each has a pool
    of its own, so that they add up. ``None`` if none is in use, or none can
    tell. It never raises: a number is not worth a trial.
    """
    peaks = [peak for read in _READERS if (peak := _largest(read)) is not None]
    if not peaks:
        return None
    allocated = sum(peak.allocated for peak in peaks)
    return MemoryPeak(
        allocated=allocated, reserved=max(allocated, sum(peak.reserved for peak in peaks))
    )


def memory_counters(limit: MemoryLimit | None) -> Counters:
    """Count now, after a failure. The driver is asked too, which takes some milliseconds.

    Args:
        limit: What the back end was held to. That of a worker without a GPU is
            one of the host's memory, and does not count here.
    """
    peak = device_peak()
    if not uses_a_device():
        return Counters(on_device=False)
    allowed = limit.bytes if limit is not None and limit.device_total > 0 else None
    free, total = _driver_memory()
    return Counters(
        on_device=True,
        limit=allowed,
        in_use=_in_use(),
        peak=peak.allocated if peak is not None else None,
        free=free,
        total=total,
    )


def uses_a_device() -> bool:
    """Return whether a back end of this process has begun to use a GPU."""
    return _torch_cuda() is not None or bool(_jax_devices()) or bool(_tensorflow_devices())


def settle_variables(model: Any) -> None:
    """Wait until a JAX model's variables exist on their GPU.

    JAX returns from an initializer before it has run, and a lack of memory
    shows where a value is first used. Without this wait it would seem to come
    from the first training step. Without a GPU there is nothing to wait for.

    Raises:
        jax.errors.JaxRuntimeError: A variable could not be allocated.
    """
    if not _jax_devices():
        return
    values = [getattr(variable, "value", None) for variable in getattr(model, "variables", ())]
    optimizer = getattr(model, "optimizer", None)
    values += [getattr(variable, "value", None) for variable in getattr(optimizer, "variables", ())]
    sys.modules["jax"].block_until_ready([value for value in values if value is not None])


def _largest(read: Any) -> MemoryPeak | None:
    # Drivers and private corners of back ends: anything may be missing, and
    # after an error of CUDA every call raises.
    try:
        found = list(read())
    except Exception:  # noqa: BLE001 - see device_peak: never raises
        return None
    if not found:
        return None
    allocated = max(allocated for allocated, _ in found)
    reserved = max(reserved for _, reserved in found)
    return MemoryPeak(allocated=int(allocated), reserved=int(max(allocated, reserved)))


def _torch_peaks() -> Iterator[tuple[int, int]]:
    cuda = _torch_cuda()
    if cuda is not None:
        for index in range(cuda.device_count()):
            yield cuda.max_memory_allocated(index), cuda.max_memory_reserved(index)


def _jax_peaks() -> Iterator[tuple[int, int]]:
    for device in _jax_devices():
        stats = device.memory_stats() or {}
        peak = stats.get("peak_bytes_in_use")
        if peak is not None:
            yield peak, stats.get("peak_pool_bytes") or stats.get("pool_bytes") or peak


def _tensorflow_peaks() -> Iterator[tuple[int, int]]:
    for index in range(len(_tensorflow_devices())):
        info = sys.modules["tensorflow"].config.experimental.get_memory_info(f"GPU:{index}")
        yield info["peak"], info["peak"]  # its pool tells no size


_READERS = (_torch_peaks, _jax_peaks, _tensorflow_peaks)


def _in_use() -> int | None:
    """Return what tensors hold of the fullest device now."""
    amounts: list[int] = []
    try:
        cuda = _torch_cuda()
        if cuda is not None:
            amounts += [cuda.memory_reserved(index) for index in range(cuda.device_count())]
        for device in _jax_devices():
            amounts.append((device.memory_stats() or {}).get("bytes_in_use") or 0)
        for index in range(len(_tensorflow_devices())):
            info = sys.modules["tensorflow"].config.experimental.get_memory_info(f"GPU:{index}")
            amounts.append(info["current"])
    except Exception:  # noqa: BLE001 - a number is not worth the failure's own story
        return max(amounts, default=None)
    return max(amounts, default=None)


def _torch_cuda() -> Any:
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    try:
        return cuda if cuda is not None and cuda.is_initialized() else None
    except Exception:  # noqa: BLE001 - a module that is only half imported
        return None


def _jax_devices() -> list[Any]:
    # jax.devices() would start a back end; this private table tells whether one was started.
    bridge = sys.modules.get("jax._src.xla_bridge")
    jax = sys.modules.get("jax")
    try:
        if bridge is None or jax is None or not bridge.backends_are_initialized():
            return []
        return [device for device in jax.local_devices() if device.platform != "cpu"]
    except Exception:  # noqa: BLE001 - private, and so liable to change
        return []


def _tensorflow_devices() -> list[Any]:
    # As above: list_logical_devices() would start TensorFlow's context.
    context = sys.modules.get("tensorflow.python.eager.context")
    tensorflow = sys.modules.get("tensorflow")
    try:
        current = context.context_safe() if context is not None else None
        if tensorflow is None or current is None or not current._initialized:  # noqa: SLF001 - no public name tells
            return []
        return list(tensorflow.config.list_logical_devices("GPU"))
    except Exception:  # noqa: BLE001 - private, and so liable to change
        return []


def _driver_memory() -> tuple[int | None, int | None]:
    """Return free and total bytes of the fullest GPU that this process sees, by NVML."""
    # Not the back end's own question to the driver: after a fault of CUDA it
    # fails, and only torch has one.
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            infos = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in _handles(pynvml)]
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # noqa: BLE001 - no driver, no permission, no such device: nobody counts
        return None, None
    if not infos:
        return None, None
    fullest = min(infos, key=lambda info: info.free)
    return int(fullest.free), int(fullest.total)


def _handles(pynvml: Any) -> list[Any]:
    # A worker is pinned by UUID. Of an index NVML and CUDA may mean different devices.
    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return [
        pynvml.nvmlDeviceGetHandleByUUID(name)
        for name in names
        if name.startswith(("GPU-", "MIG-"))
    ]
