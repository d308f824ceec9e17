"""The only door to ``gpu``: how many trials run at once, and where each of them runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiotune.errors import ConfigurationError, DeviceError, NoUsableDevice

if TYPE_CHECKING:
    from gpu import Device, DeviceProvider

__all__ = ("Slot", "SlotPlan", "plan_slots")

_WORKER_BYTES = 1536 << 20
"""Host memory that a training worker is expected to need: a back end and a modest data set."""
_FEW_CORES = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """A place where one attempt at a time runs.

    Attributes:
        index: From 0.
        device: UUID of its GPU; ``None`` on the CPU.
        label: For people.
        environment: Variables of a worker in this slot.
        threads: How many threads its back end should use.
    """

    index: int
    device: str | None
    label: str
    environment: Mapping[str, str]
    threads: int


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """All slots of a search.

    Attributes:
        slots: At least one.
        probe_environment: Variables of a worker that must see no GPU.
        reason: Why this many, in words.
        devices: The GPUs in use.
    """

    slots: tuple[Slot, ...]
    probe_environment: Mapping[str, str]
    reason: str
    devices: tuple[Device, ...] = ()


def plan_slots(
    *,
    max_parallel_trials: int | None,
    devices: Sequence[int | str] | None = None,
    provider: DeviceProvider | None = None,
    environ: Mapping[str, str] | None = None,
    cores: int | None = None,
    available_ram: int | None = None,
) -> SlotPlan:
    """Decide how many trials run at once and where.

    One per GPU where there are GPUs; otherwise as many as cores and free
    memory allow. Blocking: the driver is asked.

    Args:
        max_parallel_trials: At most this many; on the CPU, exactly.
        devices: GPUs to use, by index or UUID; ``[]``: none; ``None``: all that are visible.
        provider: Where devices come from; default the NVIDIA driver.
        environ: Default this process's environment.
        cores: Default those this process may use.
        available_ram: Bytes; default what the host, or its container, has free.

    Raises:
        NoUsableDevice: GPUs were asked for, and there are none.
        ConfigurationError: A GPU was asked for that does not exist, or the number is below 1.
    """
    if max_parallel_trials is not None and max_parallel_trials < 1:
        raise ConfigurationError(
            f"max_parallel_trials must be at least 1, but is {max_parallel_trials}."
        )
    cores = cores if cores is not None else _cores()
    environ = os.environ if environ is None else environ
    chosen, why_none = _gpus(devices, provider, environ)
    if chosen:
        return _on_gpus(chosen, max_parallel_trials, cores)
    ram = available_ram if available_ram is not None else _available_ram()
    return _on_cpu(max_parallel_trials, cores, ram, why_none)


def _on_gpus(chosen: Sequence[Device], limit: int | None, cores: int) -> SlotPlan:
    import gpu

    used = chosen[: limit or len(chosen)]
    threads = max(1, cores // len(used))
    slots = tuple(
        Slot(
            i,
            device.uuid,
            f"GPU {device.index} {device.name}",
            {**gpu.environment_for([device.uuid]), **_thread_variables(threads)},
            threads,
        )
        for i, device in enumerate(used)
    )
    reason = f"one on each of {len(used)} GPU(s), {_threads(threads)} each."
    if limit is not None and limit > len(chosen):
        reason += f" max_parallel_trials={limit} is more than there are."
    return SlotPlan(slots, _no_gpu(1), reason, tuple(used))


def _on_cpu(limit: int | None, cores: int, ram: int, why: str) -> SlotPlan:
    by_cores = cores if cores <= _FEW_CORES else cores // 2
    by_ram = max(1, ram // _WORKER_BYTES)
    count = limit if limit is not None else max(1, min(by_cores, by_ram))
    threads = max(1, cores // count)
    slots = tuple(Slot(i, None, "CPU", _no_gpu(threads), threads) for i in range(count))
    asked = "as asked for" if limit is not None else f"{ram / (1 << 30):.1f} GiB of memory free"
    reason = f"on the CPU ({why}), {cores} cores, {asked}, {_threads(threads)} each."
    return SlotPlan(slots, _no_gpu(1), reason)


def _threads(count: int) -> str:
    return "1 CPU thread" if count == 1 else f"{count} CPU threads"


def _no_gpu(threads: int) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": "-1", **_thread_variables(threads)}


def _thread_variables(threads: int) -> dict[str, str]:
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    )
    # What the user has set is what the user wants.
    return {name: str(threads) for name in names if name not in os.environ}


# ── GPUs ───────────────────────────────────────────────────────────────────


def _gpus(
    asked: Sequence[int | str] | None,
    provider: DeviceProvider | None,
    environ: Mapping[str, str],
) -> tuple[list[Device], str]:
    """Return the GPUs to use, or none and why."""
    if asked is not None and len(asked) == 0:
        return [], "devices=[]"
    gpu = _package()
    own = provider is None
    try:
        source = provider if provider is not None else gpu.NvmlProvider()
    except gpu.NvmlUnavailable as error:
        if asked:
            raise _none_usable(asked, str(error)) from error
        return [], "no GPU"
    try:
        present = source.devices()
        visible = gpu.visible_devices(present, environ)
    except gpu.NvmlUnavailable as error:
        if asked:
            raise _none_usable(asked, str(error)) from error
        return [], "no GPU"
    except gpu.BadVisibleDevices as error:
        raise ConfigurationError(str(error)) from error
    except gpu.GpuError as error:
        raise DeviceError(
            f"The GPUs of this host cannot be listed: {error}",
            hint="Mend the driver, or pass devices=[] to train on the CPU.",
        ) from error
    finally:
        if own:
            source.close()
    if asked:
        return _asked_for(asked, visible), ""
    return list(visible), "no GPU is visible" if present else "no GPU"


def _asked_for(asked: Sequence[int | str], visible: Sequence[Device]) -> list[Device]:
    if not visible:
        raise _none_usable(asked, "none is visible to this process.")
    chosen: list[Device] = []
    for name in asked:
        match = next((d for d in visible if name in (d.index, d.uuid)), None)
        if match is None or match in chosen:
            known = ", ".join(f"{d.index} ({d.uuid}, {d.name})" for d in visible)
            what = "names a GPU twice" if match else "names no GPU of this process"
            raise ConfigurationError(f"devices={list(asked)!r}: {name!r} {what}; there is {known}.")
        chosen.append(match)
    return chosen


def _none_usable(asked: Sequence[int | str], why: str) -> NoUsableDevice:
    return NoUsableDevice(
        f"devices={list(asked)!r} asks for GPUs, and there is none to use: {why}",
        hint="Mend the driver or CUDA_VISIBLE_DEVICES, or leave devices out to train on the CPU.",
    )


def _package() -> Any:
    """Import ``gpu``, and notice if it is somebody else's module of that name."""
    import gpu

    if not getattr(gpu, "IS_AIOTUNES_GPU", False):
        raise ConfigurationError(
            f"The file {getattr(gpu, '__file__', '?')} shadows the package 'gpu' that aiotune needs. "
            "Rename it, or run the program from another directory."
        )
    return gpu


# ── cores and memory ───────────────────────────────────────────────────────


def _cores() -> int:
    mine = len(os.sched_getaffinity(0))
    quota = _cgroup_cores(Path("/sys/fs/cgroup"))
    return max(1, min(mine, quota) if quota else mine)


def _cgroup_cores(root: Path) -> int | None:
    """Return how many cores a container may use at once, if that is limited."""
    text = _read(root / "cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else max(1, int(quota) // int(period or 100000))
    quota_v1 = _read(root / "cpu/cpu.cfs_quota_us")
    period_v1 = _read(root / "cpu/cpu.cfs_period_us")
    if quota_v1 and period_v1 and int(quota_v1) > 0:
        return max(1, int(quota_v1) // int(period_v1))
    return None


def _available_ram() -> int:
    free = _meminfo_available(_read(Path("/proc/meminfo")))
    left = _cgroup_ram_left(Path("/sys/fs/cgroup"))
    return free if left is None else min(free, left)


def _meminfo_available(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return _WORKER_BYTES


def _cgroup_ram_left(root: Path) -> int | None:
    """Return how much memory a container may still take, if that is limited."""
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, used = _read(root / limit_name), _read(root / used_name)
        if limit.isdigit() and used.isdigit():
            return max(0, int(limit) - int(used))
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
