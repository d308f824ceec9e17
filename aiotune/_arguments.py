"""Numbers among arguments: refused where they cannot be, else returned as Python's own.

An ``np.int64(3)`` is a whole number to its user, and neither a record nor a frame can hold it.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

from aiotune._printable import shown
from aiotune.errors import ConfigurationError, WrongType

__all__ = ("check_number", "check_plugin", "check_seconds", "check_truth", "check_whole", "plain")

_NUMPYS = {"bool", "bool_"}
_BITS = 63
"""Of the whole numbers that a record and a frame can carry."""


def check_whole(
    name: str,
    value: Any,
    least: int | None = None,
    *,
    most: int | None = None,
    also: str = "",
    whose: str = "",
) -> int:
    """Return a whole number, of whatever type, as an ``int``.

    Args:
        name: The argument.
        value: What was given.
        least: The smallest number that it may be; default what 64 bits hold.
        most: The largest; default the same.
        also: What else it may be, e.g. ``"None for no limit"``.
        whose: What the argument is of.

    Raises:
        ConfigurationError: It is refused.
    """
    who, or_else = f"{name} of {whose}" if whose else name, f", or {also}" if also else ""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or (least is not None and value < least):
        bound = "" if least is None else f" >= {least}"
        raise ConfigurationError(
            f"{who} must be a whole number{bound}{or_else}, but is {shown(value)}."
        )
    if most is not None and value > most:
        raise ConfigurationError(f"{who} must be at most {most:,}{or_else}, but is {shown(value)}.")
    if not -(1 << _BITS) <= value < 1 << _BITS:
        raise ConfigurationError(
            f"{who} is {shown(value)}, which does not fit into 64 bits. Use a smaller number{or_else}."
        )
    return int(value)


def check_truth(name: str, value: Any) -> bool:
    """Return ``True`` or ``False``, of Python's or numpy's, as a ``bool``.

    Raises:
        WrongType: It is neither.
    """
    if not isinstance(value, bool) and type(value).__name__ not in _NUMPYS:
        raise WrongType(
            f"{name} must be True or False, but is {shown(value)} of type {type(value).__name__}."
        )
    return bool(value)


def check_number(name: str, value: Any, *, whose: str = "") -> float:
    """Return a number other than NaN, of whatever type, as an ``int`` or a ``float``.

    Raises:
        ConfigurationError: It is refused.
    """
    if not _is_real(value) or math.isnan(value):
        who = f"{name} of {whose}" if whose else name
        raise ConfigurationError(f"{who} must be a number, but is {shown(value)}.")
    number: float = plain(value)
    return number


def check_seconds(name: str, value: Any, *, zero: bool = False, also: str = "") -> float:
    """Return a duration in seconds, of whatever type, as an ``int`` or a ``float``.

    Args:
        name: The argument.
        value: What was given.
        zero: Whether it may be 0.
        also: What else it may be.

    Raises:
        ConfigurationError: It is refused.
    """
    if not _is_real(value) or math.isnan(value) or value < 0 or (value == 0 and not zero):
        or_else = f", or {also}" if also else ""
        if hasattr(value, "total_seconds"):
            or_else += " (of a timedelta, its total_seconds())"
        raise ConfigurationError(
            f"{name} must be {'>=' if zero else '>'} 0 seconds{or_else}, but is {shown(value)}."
        )
    number: float = plain(value)
    return number


def plain(value: Any) -> Any:
    """Return a number of another type, such as numpy's, as Python's own; anything else as it is."""
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_plugin(name: str, given: Any, method: str, home: str) -> None:
    """Refuse what cannot do what a plug-in does; ``None`` passes.

    Args:
        name: The argument.
        given: What was given.
        method: What it must be able to do.
        home: The module that has some.

    Raises:
        WrongType: It cannot, or is a class in place of an object.
    """
    if given is None or (callable(getattr(given, method, None)) and not isinstance(given, type)):
        return
    made = f"one: {given.__name__}()" if isinstance(given, type) else f"one of {home}"
    raise WrongType(
        f"{name} must be an object with a method {method}(), but is {shown(given)} of type "
        f"{type(given).__name__}. Pass {made}."
    )
