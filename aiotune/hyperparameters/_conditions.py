"""When a hyperparameter is active: conditions on the values of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiotune._values import Value
from aiotune.errors import ConfigurationError

__all__ = ("Parent", "condition_from_config", "hold")


@dataclass(frozen=True, slots=True, init=False)
class Parent:
    """Active while another hyperparameter has one of some values.

    Args:
        name: Full name of the parent.
        values: One value or several. If the first is an ``int`` or a ``str``,
            all are converted to its type, as KerasTuner does.

    Raises:
        ConfigurationError: There are no values.
        TypeError: A value is not an ``int``, ``float``, ``str`` or ``bool``.
    """

    name: str
    values: tuple[Value, ...]

    def __init__(self, name: str, values: Value | Iterable[Value]) -> None:
        object.__setattr__(self, "name", str(name))
        object.__setattr__(self, "values", _of_one_type(str(name), values))

    def is_active(self, values: Mapping[str, Value]) -> bool:
        """Whether the parent is among the values, with a value that counts."""
        return self.name in values and values[self.name] in self.values

    def get_config(self) -> dict[str, Any]:
        """Return the condition as data, in KerasTuner's form."""
        return {"class_name": "Parent", "config": {"name": self.name, "values": list(self.values)}}


def hold(conditions: Sequence[Parent], values: Mapping[str, Value]) -> bool:
    """Return whether all conditions hold; none always do."""
    # Asked for every hyperparameter of every trial, nearly all unconditional.
    return not conditions or all(condition.is_active(values) for condition in conditions)


def condition_from_config(config: Mapping[str, Any]) -> Parent:
    """Rebuild a condition from :meth:`Parent.get_config`.

    Raises:
        ConfigurationError: It is another class of condition.
    """
    if config["class_name"] != "Parent":
        raise ConfigurationError(
            f"A condition of class {config['class_name']!r} cannot be read; aiotune knows 'Parent'."
        )
    return Parent(config["config"]["name"], config["config"]["values"])


def _of_one_type(name: str, values: Value | Iterable[Value]) -> tuple[Value, ...]:
    several = [values] if isinstance(values, (str, int, float)) else _listed(name, values)
    if not several:
        raise ConfigurationError(
            f"The condition on {name!r} lists no values of its parent, so it could never hold. "
            "Name at least one value."
        )
    wrong = [value for value in several if not isinstance(value, (int, float, str))]
    if wrong:
        raise TypeError(
            f"A condition can contain only `int`, `float`, `str`, or `bool` values, but the one on "
            f"{name!r} contains {wrong[0]!r} of type {type(wrong[0]).__name__}."
        )
    first = several[0]
    if isinstance(first, str):
        return tuple(str(value) for value in several)
    if isinstance(first, int) and not isinstance(first, bool):
        return tuple(int(value) for value in several)
    return tuple(several)


def _listed(name: str, values: Iterable[Value]) -> list[Value]:
    try:
        return list(values)
    except TypeError:
        raise TypeError(
            f"A condition can contain only `int`, `float`, `str`, or `bool` values, but the one on "
            f"{name!r} is {values!r} of type {type(values).__name__}."
        ) from None
