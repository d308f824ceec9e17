"""What the host has: cores and memory, as far as this process may use them."""

from __future__ import annotations

import os
from pathlib import Path

from aiotune._cgroups import groups_of, read

__all__ = ("available_ram", "cores", "private_bytes")

_MEMINFO = Path("/proc/meminfo")
_UNKNOWN = 1536 << 20


def cores() -> int:
    """Return how many processors this process may use at once."""
    mine = len(os.sched_getaffinity(0))
    quotas = (_cores_of(group) for group in groups_of("cpu"))
    return max(1, min([mine, *(quota for quota in quotas if quota)]))


def available_ram() -> int:
    """Return how many bytes the host, or this container or job, can still give."""
    free = _meminfo_available(read(_MEMINFO))
    left = (_ram_left(group) for group in groups_of("memory"))
    return min([free, *(size for size in left if size is not None)])


def private_bytes(pid: int) -> int | None:
    """Return what a process holds that it does not share; ``None`` if it is gone."""
    fields = read(Path(f"/proc/{pid}/statm")).split()
    if not fields:
        return None
    resident, shared = int(fields[1]), int(fields[2])
    return max(0, resident - shared) * os.sysconf("SC_PAGE_SIZE")


def _cores_of(group: Path) -> int | None:
    """Return how many cores a group may use at once, if that is limited."""
    text = read(group / "cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else max(1, int(quota) // int(period or 100000))
    quota_v1, period_v1 = read(group / "cpu.cfs_quota_us"), read(group / "cpu.cfs_period_us")
    if quota_v1 and period_v1 and int(quota_v1) > 0:
        return max(1, int(quota_v1) // int(period_v1))
    return None


def _meminfo_available(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return _UNKNOWN


def _ram_left(group: Path) -> int | None:
    """Return how much memory a group may still take, if that is limited."""
    for limit_names, used_name, prefix in (
        # Beyond memory.high the kernel kills nobody, and makes whoever allocates wait, for hours if need be.
        (("memory.max", "memory.high"), "memory.current", ""),
        (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_"),
    ):
        limits = [int(limit) for name in limit_names if (limit := read(group / name)).isdigit()]
        used = read(group / used_name)
        if limits and used.isdigit():
            # Files that were read count as used until their room is needed: a data set alone fills it.
            held = max(0, int(used) - _cached(read(group / "memory.stat"), prefix))
            return max(0, min(limits) - held)
    return None


def _cached(stat: str, prefix: str) -> int:
    names = {prefix + name for name in ("active_file", "inactive_file", "slab_reclaimable")}
    fields = (line.split() for line in stat.splitlines())
    return sum(int(size) for name, size in fields if name in names)
