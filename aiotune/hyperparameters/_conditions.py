"""When a hyperparameter is active: conditions on the values of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiotune._values import Value

__all__ = ("Parent", "condition_from_config")


class Parent:
    """Active while another hyperparameter has one of some values.

    Args:
        name: Full name of the parent.
        values: One value or several; all become the type of the first.

    Raises:
        TypeError: A value is not an ``int``, ``float``, ``str`` or ``bool``.
    """

    __slots__ = ("name", "values")

    def __init__(self, name: str, values: Value | Sequence[Value]) -> None:
        self.name = name
        self.values: tuple[Value, ...] = _same_type(name, values)

    def is_active(self, values: Mapping[str, Value]) -> bool:
        """Whether the parent is among the values, with a value that counts."""
        return self.name in values and values[self.name] in self.values

    def get_config(self) -> dict[str, Any]:
        """Return the condition as data."""
        return {
            "class_name": "Parent",
            "config": {"name": self.name, "values": list(self.values)},
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parent) and other.name == self.name and other.values == self.values

    def __hash__(self) -> int:
        return hash((self.name, self.values))

    def __repr__(self) -> str:
        return f"Parent(name={self.name!r}, values={list(self.values)!r})"


def condition_from_config(config: Mapping[str, Any]) -> Parent:
    """Rebuild a condition from :meth:`Parent.get_config`."""
    inner = config["config"]
    return Parent(inner["name"], inner["values"])


def _same_type(name: str, values: Value | Sequence[Value]) -> tuple[Value, ...]:
    several: list[Value] = list(values) if isinstance(values, (list, tuple)) else [values]  # type: ignore[list-item]
    if not several:
        raise ValueError(
            f"The condition on {name!r} has no parent values, so it could never hold. Name at least one."
        )
    if not all(isinstance(value, (int, float, str)) for value in several):
        raise TypeError(
            f"Conditions can contain only int, float, str, or bool values, but the one on {name!r} "
            f"has {several!r}."
        )
    first = several[0]
    if isinstance(first, str):
        return tuple(str(value) for value in several)
    if isinstance(first, int) and not isinstance(first, bool):
        return tuple(int(value) for value in several)
    return tuple(several)
