"""An attempt's result on disk, so that it outlives whoever should have received it.

One line: a checksum, a space and JSON. Written beside its place and moved
there, so a reader finds the whole result or none.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import msgspec

from aiotune._disk import folder_within, read_private, write_private
from aiotune.wire._messages import Done

__all__ = ("is_of", "parsed_result", "read_result", "sealed", "unsealed", "write_result")

_NON_FINITE = "$float"  # JSON has no NaN and no infinity


def sealed(body: bytes) -> bytes:
    """Return a line of a checksum and JSON."""
    return b"%08x %s\n" % (zlib.crc32(body), body)


def unsealed(line: bytes) -> bytes:
    """Return the JSON of a line that :func:`sealed` has made.

    Raises:
        ValueError: It is damaged.
    """
    checksum, _, body = line.partition(b" ")
    body = body.removesuffix(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        raise ValueError("its checksum is wrong")
    return body


def write_result(path: Path, done: Done) -> None:
    """Write a result durably; on return it survives a power cut.

    Raises:
        OSError: It could not be written.
    """
    body = json.dumps(_plain(msgspec.to_builtins(done)), allow_nan=False).encode()
    write_private(path, sealed(body), durable=True)


def read_result(path: Path, attempt_id: str = "") -> Done | None:
    """Return a spooled result, or ``None`` if there is none to trust.

    A damaged file, or one that names another attempt than ``attempt_id``, is moved aside to ``<name>.damaged``, so that the attempt's
    directory keeps the evidence and the next attempt does not stumble over it.
    """
    try:
        with folder_within(path.parents[2], path.parent) as folder:
            return _read(Path(f"/proc/self/fd/{folder}") / path.name, attempt_id)
    except (FileNotFoundError, NotADirectoryError):
        return None  # no attempt has begun, or its folder is a link to somewhere else


def _read(path: Path, attempt_id: str) -> Done | None:
    try:
        line = read_private(path)
    except FileNotFoundError:
        raise
    except OSError:
        line = b""  # a link, say
    done = parsed_result(line)
    if done is None or not is_of(done, attempt_id):
        path.replace(path.with_name(f"{path.name}.damaged"))
        return None
    return done


def is_of(done: Done, attempt_id: str) -> bool:
    """Whether a result is an attempt's, as far as both say whose."""
    return not done.attempt_id or not attempt_id or done.attempt_id == attempt_id


def parsed_result(line: bytes) -> Done | None:
    """Return the result in a spooled line, or ``None`` if it is damaged."""
    try:
        return msgspec.convert(json.loads(unsealed(line), object_hook=_original), Done)
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
