"""One region of memory that every worker maps: written once, sealed, copied on write.

Layout: a magic number, the number of parts, a table of (offset, length), and
the parts, each aligned so that arrays can be used in place.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Sequence

if sys.platform == "linux":
    import fcntl

__all__ = ("map_parts", "write_parts")

_MAGIC = b"AIOTUNE\x01"
_ALIGNMENT = 64
_HEAD = struct.Struct("<8sQ")
_ENTRY = struct.Struct("<QQ")

Part = bytes | memoryview


def write_parts(parts: Sequence[Part], *, name: str) -> int:
    """Write parts into a new anonymous region.

    Args:
        parts: Contiguous bytes, in the order in which they come back.
        name: What the region is called in ``/proc``.

    Returns:
        A descriptor, closed on exec, of a sealed memfd; where the kernel has
        none, of an unlinked temporary file. The memory is free again when the
        last descriptor and the last map are gone, however their owners end.

    Raises:
        OSError: There is not enough memory.
    """
    fd, sealable = _region(name)
    try:
        # write() reports a full memory as ENOSPC; a store into a map that was
        # only promised its pages would be SIGBUS.
        offset = _HEAD.size + _ENTRY.size * len(parts)
        table = [_HEAD.pack(_MAGIC, len(parts))]
        starts = []
        for part in parts:
            offset = -(-offset // _ALIGNMENT) * _ALIGNMENT
            starts.append(offset)
            table.append(_ENTRY.pack(offset, len(part)))
            offset += len(part)
        _write_at(fd, memoryview(b"".join(table)), 0)
        for start, part in zip(starts, parts, strict=True):
            _write_at(fd, memoryview(part), start)
        if sealable:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def map_parts(fd: int) -> list[memoryview]:
    """Map a region and return its parts.

    The parts are writable: what a process writes is its own copy of that
    page, so code that changes an array in place works as it does without
    processes, and no other worker sees it.

    Raises:
        ValueError: The descriptor holds no such region.
    """
    region = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_COPY))
    if len(region) < _HEAD.size:
        raise ValueError(f"A region of {len(region)} bytes is too short to hold a payload.")
    magic, count = _HEAD.unpack_from(region, 0)
    if magic != _MAGIC:
        raise ValueError(f"A region begins with {magic!r}, so it holds no payload.")
    entries = [
        _ENTRY.unpack_from(region, _HEAD.size + index * _ENTRY.size) for index in range(count)
    ]
    return [region[start : start + length] for start, length in entries]


if sys.platform == "linux":
    _SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def _region(name: str) -> tuple[int, bool]:
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), True
        except OSError:
            # An old kernel or a sandbox's filter: a file does the same,
            # without the seal that refuses writes.
            pass
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno()), False


def _write_at(fd: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written
