"""Arguments of pruners: refused where they make no sense, else kept as Python's own numbers."""

from __future__ import annotations

from typing import Any

from aiotune import _arguments

__all__ = ("check_number", "check_whole")


def check_whole(
    pruner: object, name: str, value: Any, *, least: int, most: int | None = None
) -> None:
    """Keep a whole number; refuse what is not one, or too small or too large.

    Raises:
        ConfigurationError: Naming the pruner, the argument and its value.
    """
    whole = _arguments.check_whole(name, value, least, most=most, whose=type(pruner).__name__)
    object.__setattr__(pruner, name, whole)  # it is frozen, and this is a part of its making


def check_number(pruner: object, name: str, value: Any) -> None:
    """Keep a number; refuse what is not one, and NaN.

    Raises:
        ConfigurationError: Naming the pruner, the argument and its value.
    """
    object.__setattr__(
        pruner, name, _arguments.check_number(name, value, whose=type(pruner).__name__)
    )
