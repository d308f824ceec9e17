"""Reads the numbers out of what back ends say when memory runs out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ("Told", "numbers_in")


@dataclass(frozen=True, slots=True)
class Told:
    """Numbers of one text, in bytes; ``None`` where it tells none.

    Attributes:
        asked: The allocation that failed.
        total: All memory of the device.
        free: What the driver had left.
        process: What this process held of the device, its context included.
        allowed: The limit that was set.
        reserved: What the back end had taken from the driver.
        idle: The part of ``reserved`` that no tensor was in.
    """

    asked: int | None = None
    total: int | None = None
    free: int | None = None
    process: int | None = None
    allowed: int | None = None
    reserved: int | None = None
    idle: int | None = None


_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# It begins where a number does: else a printed array would be read from each of its digits.
_SIZE = r"(?<![\d,.])(\d[\d,]{0,30}(?:\.\d*)?) ?([KMGT]i?B?\b|[Bb]ytes?\b|B\b|(?![\w.]))"

_ASKED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[Tt]ried to allocate {_SIZE}",
        rf"[Uu]nable to allocate {_SIZE} for an array",
        rf"trying to allocate {_SIZE}",
        rf"(?:[Oo]ut of memory|[Ff]ailed to CUDA \w+(?: async)?) (?:allocating )?{_SIZE}",
        rf"[Ff]ailed to allocate (?:request for )?{_SIZE}",
        rf"Attempting to (?:allocate|reserve) {_SIZE}",
    )
)
# An exact number of bytes beside a rounded one: "1.50GiB (rounded to 1610612736)", "(1610612736B)".
_EXACT = re.compile(r"allocate[^(]{0,40}\((?:rounded to )?(\d+)B?\)")
_SHAPE = re.compile(r"OOM when allocating tensor with shape ?\[([\d,]*)\](?: and type (\w+))?")
_ITEMS = {
    "bfloat16": 2,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
    "double": 8,
    "half": 2,
    "int8": 1,
    "int64": 8,
    "uint8": 1,
}
_TOTAL = re.compile(rf"total capaci?ty of {_SIZE}|{_SIZE} total capacity")
_FREE = re.compile(rf"of which {_SIZE} is free|{_SIZE} free;")
_PROCESS = re.compile(rf"this process has {_SIZE} memory in use")
_ALLOWED = re.compile(rf"{_SIZE} (?:allowed|max(?:imum)? allowed)")
_ALLOCATED = re.compile(rf"{_SIZE} is allocated by PyTorch|{_SIZE} already allocated")
_IDLE = re.compile(rf"{_SIZE} is reserved by PyTorch but unallocated|{_SIZE} cached\)")
_RESERVED = re.compile(rf"{_SIZE} reserved in total by PyTorch")


def numbers_in(text: str) -> Told:
    """Return what a text tells in numbers."""
    allocated, idle = _size(_ALLOCATED, text), _size(_IDLE, text)
    reserved = _size(_RESERVED, text)
    if reserved is None and allocated is not None:
        reserved = allocated + (idle or 0)
    elif reserved is not None and allocated is not None:
        idle = max(0, reserved - allocated)
    return Told(
        asked=_asked(text),
        total=_size(_TOTAL, text),
        free=_size(_FREE, text),
        process=_size(_PROCESS, text),
        allowed=_size(_ALLOWED, text),
        reserved=reserved,
        idle=idle,
    )


def _asked(text: str) -> int | None:
    exact = _EXACT.search(text)
    if exact is not None:
        return int(exact[1])
    for pattern in _ASKED:
        size = _size(pattern, text)
        if size is not None:
            return size
    shape = _SHAPE.search(text)
    if shape is None or shape[2] is None:
        return None
    numbers = [int(number) for number in shape[1].split(",") if number]
    return math.prod(numbers) * _ITEMS.get(shape[2], 4)


def _size(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    if found is None:
        return None
    number, unit = (group for group in found.groups() if group is not None)
    scale = 1 if unit.lower().startswith("byte") else _UNITS[unit[:1]]
    return round(float(number.replace(",", "")) * scale)
