"""When a hyperparameter is active: conditions on the values of others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiotune._printable import shown
from aiotune._values import Value
from aiotune.errors import ConfigurationError, WrongType

__all__ = ("Parent", "condition_from_config", "hold")


@dataclass(frozen=True, slots=True, init=False)
class Parent:
    """Active while another hyperparameter has one of some values.

    Args:
        name: Full name of the parent.
        values: One value or several. If the first is an ``int`` or a ``str``,
            all are converted to its type, as KerasTuner does.

    Raises:
        ConfigurationError: There are no values, or one is not finite.
        WrongType: A value is not an ``int``, ``float``, ``str`` or ``bool``, they are of several
            types, or the name is not text. It is a ``TypeError``.
    """

    name: str
    values: tuple[Value, ...]

    def __init__(self, name: str, values: Value | Iterable[Value]) -> None:
        if not isinstance(name, str):
            raise WrongType(
                f"The name of a condition's parent must be text, but is {shown(name)} of type "
                f"{type(name).__name__}. Write Parent('optimizer', ['adam'])."
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "values", _of_one_type(name, values))

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
        ConfigurationError: It is another class of condition, or in another form.
    """
    match config:
        case {"class_name": "Parent", "config": {"name": name, "values": values}}:
            return Parent(name, values)
        case {"class_name": str(other)} if other != "Parent":
            raise ConfigurationError(
                f"A condition of class {shown(other)} cannot be read; aiotune knows 'Parent'. Write the "
                "condition with it."
            )
        case _:
            raise ConfigurationError(
                f"{shown(config)} is not a condition in the form that Parent.get_config() returns. Take "
                "it from there."
            )


def _of_one_type(name: str, values: Value | Iterable[Value]) -> tuple[Value, ...]:
    several = [values] if isinstance(values, (str, int, float)) else _listed(name, values)
    if not several:
        raise ConfigurationError(
            f"The condition on {shown(name)} lists no values of its parent, so it could never hold. "
            "Name at least one value."
        )
    wrong = [value for value in several if not isinstance(value, (int, float, str))]
    if wrong:
        raise _wrong(name, wrong[0])
    odd = [value for value in several if isinstance(value, float) and not math.isfinite(value)]
    if odd:
        raise ConfigurationError(
            f"The condition on {shown(name)} names the value {odd[0]}, which no hyperparameter has. Name "
            "finite numbers."
        )
    return _converted(name, several)


def _converted(name: str, several: list[Value]) -> tuple[Value, ...]:
    first = several[0]
    if isinstance(first, str):
        return tuple(str(value) for value in several)
    if not isinstance(first, int) or isinstance(first, bool):
        return tuple(several)
    try:
        return tuple(int(value) for value in several)
    except ValueError:
        raise WrongType(
            f"The condition on {shown(name)} mixes numbers and names: {shown(several)}. Write them all as "
            "the parent's values are."
        ) from None


def _listed(name: str, values: Iterable[Value]) -> list[Value]:
    try:
        several = list(values)
    except TypeError:
        raise _wrong(name, values) from None
    # A set has another order each time the program runs, and a condition must stay the same.
    return sorted(several, key=repr) if isinstance(values, (set, frozenset)) else several


def _wrong(name: str, value: object) -> WrongType:
    return WrongType(
        f"A condition can contain only `int`, `float`, `str`, or `bool` values, but the one on "
        f"{shown(name)} contains {shown(value)} of type {type(value).__name__}. Name values that the "
        "parent can have."
    )
