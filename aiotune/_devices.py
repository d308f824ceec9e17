"""What there is to run trials on, and where a lease puts one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiotune import _gpu, _host
from aiotune._gpu import MIB, Device, DeviceProvider, HostClaims, Lease, LeaseLedger
from aiotune._wanted import Wanted
from aiotune.errors import ConfigurationError, DeviceError, NoUsableDevice
from aiotune.memory import MemoryLimit

__all__ = ("Place", "Resources", "Wanted", "find_resources", "let_go")

_WORKER_BYTES = 1536 * MIB
"""Host memory that a training worker is expected to need: a back end and a modest data set."""
_FEW_CORES = 4
_SHARING = 4
"""How many trials may share a GPU before it is measured whether that pays."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one attempt runs.

    Attributes:
        label: For people.
        devices: UUIDs of its GPUs; empty on the CPU.
        environment: Variables of its worker.
        threads: How many threads its back end should use.
        cpus: Processors next to its GPUs; empty: any.
        limit: What its back end may allocate; ``None``: no limit.
    """

    label: str
    devices: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    cpus: tuple[int, ...] = ()
    limit: MemoryLimit | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a search has to run trials on.

    Attributes:
        most: How many attempts may run at once.
        reason: Why this many, in words.
        devices: The GPUs; empty: trials run on the CPU.
        most_per_device: How many trials may share a GPU.
        measures: Whether sharing is measured, and given up where it does not pay.
        gpus_per_trial: How many GPUs each trial sees.
        gpu_memory: Bytes that each trial is given of each GPU; ``None``: what it needs.
        cores: Processors that can be used.
        host_bytes: Memory of the host that trials can have together.
        provider: Answers questions about the GPUs.
        mps: Whether CUDA's Multi-Process Service runs here; then trials on one GPU
            run side by side instead of in turns.
        claims: Shows other searches of the host what this one holds, and what they do.
        doubts: Sentences about what the choice of the GPUs may have been meant for otherwise.
    """

    most: int
    reason: str
    devices: tuple[Device, ...] = ()
    most_per_device: int = 1
    measures: bool = False
    gpus_per_trial: int = 1
    gpu_memory: int | None = None
    cores: int = 1
    host_bytes: int | None = None
    provider: DeviceProvider | None = None
    mps: bool = False
    claims: HostClaims | None = None
    doubts: tuple[str, ...] = ()

    @property
    def probe_environment(self) -> Mapping[str, str]:
        """Variables of a worker that must see no GPU."""
        return _no_gpu(1)

    def ledger(self) -> LeaseLedger:
        """Return an empty ledger over these resources."""
        return LeaseLedger(self.devices, most=self.most_per_device, host=self.host_bytes)

    def device(self, uuid: str) -> Device:
        """Return a GPU by its UUID."""
        return next(device for device in self.devices if device.uuid == uuid)

    def place(self, lease: Lease, *, neighbours: int = 0, context: int = 0) -> Place:
        """Say where the attempt with a lease runs.

        Args:
            lease: What it was given.
            neighbours: How many others share its GPU.
            context: Bytes of each GPU that the driver takes for a process, beside the back end's.
        """
        if not lease.uuids:
            threads = max(1, self.cores // self.most)
            return Place("CPU", (), _no_gpu(threads), threads, limit=self._host_limit())
        chosen = [self.device(uuid) for uuid in lease.uuids]
        share = self.cores * len(chosen) // len(self.devices) // (neighbours + 1)
        threads = max(1, share)
        label = ", ".join(f"GPU {device.index} {device.name}" for device in chosen)
        environment = {**_gpu.environment_for(lease.uuids), **_thread_variables(threads)}
        if self.mps:
            environment |= _gpu.client_environment(max(MIB, lease.bytes), devices=len(chosen))
        limit = MemoryLimit(
            bytes=max(MIB, lease.bytes - context),
            device_total=min(device.total_bytes for device in chosen),
            totals=tuple(device.total_bytes for device in chosen) if len(chosen) > 1 else (),
            alone=lease.exclusive,
        )
        return Place(label, lease.uuids, environment, threads, _near(chosen), limit)

    def _host_limit(self) -> MemoryLimit | None:
        # On the CPU a back end has no limit of its own. What the whole host
        # can give is still a limit: beyond it the kernel would choose whom to kill.
        if self.host_bytes is None:
            return None
        return MemoryLimit(bytes=max(_WORKER_BYTES, self.host_bytes), device_total=0)


def find_resources(
    wanted: Wanted,
    *,
    provider: DeviceProvider | None = None,
    environ: Mapping[str, str] | None = None,
    cores: int | None = None,
    available_ram: int | None = None,
) -> Resources:
    """Find what there is to run trials on. Blocking: the driver is asked.

    Args:
        wanted: What the search asks for.
        provider: Where devices come from; default the NVIDIA driver.
        environ: Default this process's environment.
        cores: Default those this process may use.
        available_ram: Bytes; default what the host, or its container, has free.

    Raises:
        NoUsableDevice: GPUs were asked for, and there are none, or too few.
        ConfigurationError: A GPU was asked for that does not exist.
        DeviceError: The driver fails.
    """
    base = Resources(
        most=1,
        reason="",
        cores=cores if cores is not None else _host.cores(),
        host_bytes=available_ram if available_ram is not None else _host.available_ram(),
        gpu_memory=wanted.memory_bytes,
        gpus_per_trial=wanted.gpus_per_trial,
    )
    environ = os.environ if environ is None else environ
    source, chosen, why, doubts = _gpus(wanted, provider, environ)
    if chosen:
        mps = _gpu.running_daemon(environ) is not None
        folder = _gpu.claims_directory(environ)
        claims = None if folder is None else HostClaims(folder)
        base = replace(base, devices=tuple(chosen), provider=source, mps=mps, claims=claims)
        return _on_gpus(replace(base, doubts=doubts), wanted)
    if wanted.gpus_per_trial > 1:
        raise NoUsableDevice(
            f"gpus_per_trial={wanted.gpus_per_trial} asks for GPUs, and there is none to use: {why}.",
            hint="Leave gpus_per_trial out to train on the CPU.",
        )
    return _on_cpu(base, wanted.max_parallel_trials, why)


def _on_gpus(base: Resources, wanted: Wanted) -> Resources:
    count, each, limit = len(base.devices), wanted.gpus_per_trial, wanted.max_parallel_trials
    if each > count:
        raise ConfigurationError(
            f"gpus_per_trial={each} is more than the {count} GPU(s) that this search may use."
        )
    if each > 1 and any(device.mig_parent for device in base.devices):
        raise ConfigurationError(
            f"gpus_per_trial={each} cannot be had of MIG instances: a process sees only one of them. "
            "Leave gpus_per_trial out, or name whole GPUs with devices=."
        )
    auto = wanted.max_trials_per_gpu == "auto"
    per_device = (_SHARING if each == 1 else 1) if auto else int(wanted.max_trials_per_gpu)
    room = count * per_device // each
    most = min(limit or room, room)
    sharing = f", at most {per_device} trials on one as far as they fit" if per_device > 1 else ""
    mps = " (side by side, by the MPS daemon that runs here)" if base.mps and sharing else ""
    cut = sum(device.mig_parent is not None for device in base.devices)
    kind = f", {cut} of them instances of one that is cut" if cut else ""
    reason = f"on {count} GPU(s){kind}{sharing}{mps}, {base.cores} CPU cores."
    if limit is not None and limit > room:
        reason += f" max_parallel_trials={limit} is more than there is room for."
    return replace(
        base, most=most, reason=reason, most_per_device=per_device, measures=auto and per_device > 1
    )


def _on_cpu(base: Resources, limit: int | None, why: str) -> Resources:
    cores, ram = base.cores, base.host_bytes or 0
    by_cores = cores if cores <= _FEW_CORES else cores // 2
    count = limit if limit is not None else max(1, min(by_cores, ram // _WORKER_BYTES))
    threads = max(1, cores // count)
    asked = "as asked for" if limit is not None else f"{ram / (1 << 30):.1f} GiB of memory free"
    each = "1 CPU thread" if threads == 1 else f"{threads} CPU threads"
    reason = f"on the CPU ({why}), {cores} cores, {asked}, {each} each."
    return replace(base, most=count, reason=reason)


# ── what a worker sees ─────────────────────────────────────────────────────


def _near(chosen: Sequence[Device]) -> tuple[int, ...]:
    near = frozenset[int]().union(*(device.cpus for device in chosen))
    mine = os.sched_getaffinity(0)
    return tuple(sorted(near & mine)) if near & mine and not mine <= near else ()


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
    wanted: Wanted, provider: DeviceProvider | None, environ: Mapping[str, str]
) -> tuple[DeviceProvider | None, list[Device], str, tuple[str, ...]]:
    """Return the GPUs to use, whom to ask about them, why there is none, and what is in doubt."""
    asked = wanted.devices
    if asked is not None and len(asked) == 0:
        return None, [], "devices=[]", ()
    try:
        source = provider if provider is not None else _gpu.IsolatedProvider()
    except _gpu.NvmlUnavailable as error:
        if asked:
            raise _none_usable(asked, str(error)) from None
        return None, [], "no GPU", ()
    except _gpu.GpuError as error:
        raise _cannot_be_listed(error) from error
    try:
        chosen, why, doubts = _chosen(asked, source, environ)
    except BaseException:
        let_go(source)
        raise
    if not chosen:
        let_go(source)
    return source, chosen, why, doubts


def let_go(provider: DeviceProvider) -> None:
    """Close a provider. A driver that fails even at that must cost neither a result nor a reason."""
    with contextlib.suppress(_gpu.GpuError):  # the program's end lets go of it in any case
        provider.close()


def _chosen(
    asked: Sequence[int | str] | None, source: DeviceProvider, environ: Mapping[str, str]
) -> tuple[list[Device], str, tuple[str, ...]]:
    try:
        present = source.devices()
        visible = _gpu.visible_devices(present, environ)
        doubts = _gpu.doubts(present, environ)
    except _gpu.NvmlUnavailable as error:
        if asked:
            raise _none_usable(asked, str(error)) from None
        return [], "no GPU", ()
    except _gpu.BadVisibleDevices as error:
        raise ConfigurationError(str(error)) from error
    except _gpu.GpuError as error:
        raise _cannot_be_listed(error) from error
    if asked:
        return _asked_for(asked, visible), "", doubts
    return list(visible), "no GPU is visible" if present else "no GPU", doubts


def _asked_for(asked: Sequence[int | str], visible: Sequence[Device]) -> list[Device]:
    if not visible:
        raise _none_usable(asked, "none is visible to this process.")
    chosen: list[Device] = []
    for name in asked:
        # A GPU that is cut into instances stands for all of them: each can have a trial.
        matches = [d for d in visible if name in (d.index, d.uuid, d.mig_parent)]
        if not matches or set(matches) & set(chosen):
            known = ", ".join(f"{d.index} ({d.uuid}, {d.name})" for d in visible)
            what = "names a GPU twice" if matches else "names no GPU of this process"
            raise ConfigurationError(f"devices={list(asked)!r}: {name!r} {what}; there is {known}.")
        chosen += matches
    return chosen


def _cannot_be_listed(error: Exception) -> DeviceError:
    return DeviceError(
        f"The GPUs of this host cannot be listed: {error}",
        hint="Mend the driver, or pass devices=[] to train on the CPU.",
    )


def _none_usable(asked: Sequence[int | str], why: str) -> NoUsableDevice:
    return NoUsableDevice(
        f"devices={list(asked)!r} asks for GPUs, and there is none to use: {why}",
        hint="Mend the driver or CUDA_VISIBLE_DEVICES, or leave devices out to train on the CPU.",
    )
