"""Arrays that are mapped from a file: each worker maps the file, and nothing is copied."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ("mapped", "reduced")

_MAPS = Path("/proc/self/maps")
_Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


def reduced(array: Any) -> Any:
    """Return what an ``np.memmap`` becomes in a pickle, as ``__reduce_ex__`` does.

    Args:
        array: With mode ``"c"`` it may differ from its file, and the file may be gone or another's by
            now: then its content travels, as that of any array.
    """
    place = _place(array.__array_interface__["data"][0]) if array.size else None
    if place is None:
        import numpy as np

        # As a subclass it would be a part of the pickle, which each worker copies.
        return array.view(np.ndarray).__reduce_ex__(5)
    path, offset = place
    shape = (array.dtype, array.shape, array.strides)
    return mapped, (path, offset, *shape, bool(array.flags.writeable))


def mapped(
    path: bytes,
    offset: int,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    writable: bool,
) -> Any:
    """Return an array of a file's content; what is written to it stays this process's own.

    Args:
        path: The file.
        offset: Where in it the first element is, in bytes.
        dtype: As the array had it.
        shape: Likewise.
        strides: Likewise; negative ones lead to what is in front of ``offset``.
        writable: Whether the array may be written to.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is too short by now.
    """
    import numpy as np

    reach = [step * (count - 1) for step, count in zip(strides, shape, strict=True)]
    first = offset + sum(step for step in reach if step < 0)
    last = offset + sum(step for step in reach if step > 0) + dtype.itemsize
    start = first // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        region = mmap.mmap(fd, last - start, access=access, offset=start)
    finally:
        os.close(fd)
    return np.ndarray(shape, dtype, region, offset - start, strides)


def _place(address: int) -> tuple[bytes, int] | None:
    """Return the file that is mapped at an address, and where in it that is; ``None`` if it is none."""
    try:
        lines = _MAPS.read_bytes().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split(maxsplit=5)
        begin, end = (int(bound, 16) for bound in fields[0].split(b"-"))
        if begin <= address < end and len(fields) > 5:  # noqa: PLR2004 - the last is the path
            shared, inode, path = fields[1].endswith(b"s"), int(fields[4]), fields[5]
            same = shared and _inode(path) == inode
            return (path, int(fields[2], 16) + address - begin) if same else None
    return None


def _inode(path: bytes) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a path need not be text
    except OSError:
        return None  # it was removed, and its name is marked with that
