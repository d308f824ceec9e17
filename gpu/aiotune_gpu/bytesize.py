"""Byte counts, read and printed."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ("GIB", "MIB", "format_bytes", "parse_bytes")

MIB = 1 << 20
GIB = 1 << 30
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1 << 10,
    "mib": MIB,
    "gib": GIB,
    "tib": 1 << 40,
}
_NEXT_UNIT = 1023.95
"""From here on one decimal would be printed as 1024.0."""
_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: str | int) -> int:
    """Return the number of bytes in ``"8GiB"``, ``"500 MB"`` or ``1024``.

    Raises:
        ValueError: It is not a size, or negative.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    unit = _UNITS.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise ValueError(
            f"{text!r} is not a size. Write a number of bytes, or e.g. '8GiB' or '500MB'."
        )
    return int(Fraction(match.group(1)) * unit)  # a float would lose digits beyond 2**53


def format_bytes(count: int) -> str:
    """Return a byte count for people: ``22.5 GiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < _NEXT_UNIT or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")  # pragma: no cover
