"""An attempt's result on disk, so that it outlives whoever should have received it.

One line: a checksum, a space and JSON. Written beside its place and moved
there, so a reader finds the whole result or none.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any

import msgspec

from aiotune.wire._messages import Done

__all__ = ("read_result", "write_result")

_NON_FINITE = "$float"  # JSON has no NaN and no infinity


def write_result(path: Path, done: Done) -> None:
    """Write a result durably; on return it survives a power cut.

    Raises:
        OSError: It could not be written.
    """
    body = json.dumps(_plain(msgspec.to_builtins(done)), allow_nan=False).encode()
    line = b"%08x %s\n" % (zlib.crc32(body), body)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def read_result(path: Path) -> Done | None:
    """Return a spooled result, or ``None`` if there is none to trust.

    A damaged file is moved aside to ``<name>.damaged``, so that the attempt's
    directory keeps the evidence and the next attempt does not stumble over it.
    """
    try:
        line = path.read_bytes()
    except FileNotFoundError:
        return None
    done = _parse(line)
    if done is None:
        path.replace(path.with_name(f"{path.name}.damaged"))
    return done


def _parse(line: bytes) -> Done | None:
    checksum, _, body = line.partition(b" ")
    body = body.removesuffix(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        return msgspec.convert(json.loads(body, object_hook=_original), Done)
    except (ValueError, RecursionError):  # msgspec's validation errors are ValueErrors
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_NON_FINITE: str(value)}
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value


def _original(value: dict[str, Any]) -> Any:
    return float(value[_NON_FINITE]) if value.keys() == {_NON_FINITE} else value


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
