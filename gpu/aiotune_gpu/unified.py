"""The memory of a device that has none of its own, but uses the host's."""

from __future__ import annotations

from pathlib import Path

from aiotune_gpu.device import DeviceMemory

__all__ = ("MEMINFO", "host_memory")

MEMINFO = Path("/proc/meminfo")


def host_memory(meminfo: Path) -> DeviceMemory | None:
    """Return the host's memory as if it were a device's; ``None`` if the kernel does not tell.

    What the kernel could free, such as cached files, is free.
    """
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        sizes = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        total, free = (int(sizes[name][0]) << 10 for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return DeviceMemory(total, max(0, total - free), free)
