"""What an event of the log may hold: JSON values, with text that is safe to show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aiotune._printable import printable

__all__ = ("plain",)

_DEPTH = 4
"""Nested containers shown; a value deeper than that may contain itself."""


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """Return a JSON value: text made safe, numbers of any library as Python's."""
    if value is None or value is True or value is False:
        return value
    if type(value) is float and math.isfinite(value):
        return value  # the kind of value that there is most of
    try:
        return _converted(value, depth)
    except Exception as error:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<{type(value).__name__}: {type(error).__name__} when shown>"


def _converted(value: Any, depth: int) -> Any:  # noqa: PLR0911 - one arm a kind of value
    match value:
        case int():
            # str() refuses integers of thousands of digits, hex() does not.
            return int(value) if value.bit_length() < 64 else printable(hex(value))  # noqa: PLR2004
        case float():
            return float(value) if math.isfinite(value) else str(float(value))
        case str():
            return printable(value) if len(value) <= 4096 else _end(value)  # noqa: PLR2004
        case BaseException():
            return printable(f"{type(value).__name__}: {value}")
        case Mapping() | list() | tuple() | set() | frozenset() if depth == 0:
            return "..."
        case Mapping():
            return {printable(key, 200): plain(inner, depth - 1) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(inner, depth - 1) for inner in value]
        case _ if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
            return plain(value.item(), depth - 1) if depth else "..."
        case _:
            return printable(value)


def _end(text: str) -> str:
    # Of a long text the end says most: it is where a traceback has its error.
    return printable(f"...{text[-4000:]}")
