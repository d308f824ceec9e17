"""Refusing arguments that are no numbers, or not the numbers that they must be."""

from __future__ import annotations

import math
from typing import Any

from aiotune._printable import shown
from aiotune.errors import ConfigurationError, WrongType

__all__ = ("check_number", "check_plugin", "check_seconds", "check_truth", "check_whole")

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
) -> None:
    """Refuse what is no whole number, or too small or too large a one.

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
    is_whole = isinstance(value, int) and not isinstance(value, bool)
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


def check_truth(name: str, value: Any) -> None:
    """Refuse what is neither ``True`` nor ``False``.

    Raises:
        WrongType: It is neither.
    """
    if not isinstance(value, bool) and type(value).__name__ not in _NUMPYS:
        raise WrongType(
            f"{name} must be True or False, but is {shown(value)} of type {type(value).__name__}."
        )


def check_number(name: str, value: Any, *, whose: str = "") -> None:
    """Refuse what is no number, and NaN.

    Raises:
        ConfigurationError: It is refused.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or math.isnan(value):
        who = f"{name} of {whose}" if whose else name
        raise ConfigurationError(f"{who} must be a number, but is {shown(value)}.")


def check_seconds(name: str, value: Any, *, zero: bool = False, also: str = "") -> None:
    """Refuse what is no duration.

    Args:
        name: The argument.
        value: What was given.
        zero: Whether it may be 0.
        also: What else it may be.

    Raises:
        ConfigurationError: It is refused.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or math.isnan(value) or value < 0 or (value == 0 and not zero):
        or_else = f", or {also}" if also else ""
        if hasattr(value, "total_seconds"):
            or_else += " (of a timedelta, its total_seconds())"
        raise ConfigurationError(
            f"{name} must be {'>=' if zero else '>'} 0 seconds{or_else}, but is {shown(value)}."
        )


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
