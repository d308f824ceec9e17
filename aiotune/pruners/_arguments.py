"""Refusing arguments of pruners that make no sense."""

from __future__ import annotations

from typing import Any

from aiotune import _arguments

__all__ = ("check_number", "check_whole")


def check_whole(
    pruner: object, name: str, value: Any, *, least: int, most: int | None = None
) -> None:
    """Refuse what is not a whole number, or too small or too large a one.

    Raises:
        ConfigurationError: Naming the pruner, the argument and its value.
    """
    _arguments.check_whole(name, value, least, most=most, whose=type(pruner).__name__)


def check_number(pruner: object, name: str, value: Any) -> None:
    """Refuse what is not a number, and NaN.

    Raises:
        ConfigurationError: Naming the pruner, the argument and its value.
    """
    _arguments.check_number(name, value, whose=type(pruner).__name__)
