"""Refusing arguments of pruners that make no sense."""

from __future__ import annotations

import math
from typing import Any

from aiotune.errors import ConfigurationError

__all__ = ("check_number", "check_whole")


def check_whole(pruner: object, name: str, value: Any, *, least: int) -> None:
    """Refuse what is not a whole number, or too small a one.

    Raises:
        ConfigurationError: Naming the pruner, the argument and its value.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{name} of {type(pruner).__name__} must be a whole number >= {least}, but is {value!r}."
        )


def check_number(pruner: object, name: str, value: Any) -> None:
    """Refuse what is not a number, and NaN.

    Raises:
        ConfigurationError: Naming the pruner, the argument and its value.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
        raise ConfigurationError(
            f"{name} of {type(pruner).__name__} must be a number, but is {value!r}."
        )
