"""What the host has: cores and memory, as far as this process may use them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ("available_ram", "cores", "private_bytes")

_CGROUP = Path("/sys/fs/cgroup")
_UNKNOWN = 1536 << 20


def cores() -> int:
    """Return how many processors this process may use at once."""
    mine = len(os.sched_getaffinity(0))
    quota = _cgroup_cores(_CGROUP)
    return max(1, min(mine, quota) if quota else mine)


def available_ram() -> int:
    """Return how many bytes the host, or this container, can still give."""
    free = _meminfo_available(_read(Path("/proc/meminfo")))
    left = _cgroup_ram_left(_CGROUP)
    return free if left is None else min(free, left)


def private_bytes(pid: int) -> int | None:
    """Return what a process holds that it does not share; ``None`` if it is gone."""
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    if not fields:
        return None
    resident, shared = int(fields[1]), int(fields[2])
    return max(0, resident - shared) * os.sysconf("SC_PAGE_SIZE")


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


def _meminfo_available(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return _UNKNOWN


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
