"""The kinds of hyperparameter.

Each is immutable, so that thousands of trials share one object. A value and a
probability in [0, 1) correspond: equal parts of the unit interval (in the
scale of ``sampling``) are equally likely.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar

from aiotune._values import Value
from aiotune.hyperparameters._conditions import Parent, condition_from_config

__all__ = ("Boolean", "Choice", "Fixed", "HyperParameter")


class HyperParameter(ABC):
    """One dimension of a search space.

    Args:
        name: Full name, scopes joined with ``/``.
        default: Value where nothing else is known.
        conditions: All must hold for it to be active.
    """

    kind: ClassVar[str]

    def __init__(
        self, name: str, default: Value | None = None, conditions: Sequence[Parent] | None = None
    ) -> None:
        self.name = str(name)
        self._default = default
        self.conditions: tuple[Parent, ...] = tuple(conditions or ())

    @property
    @abstractmethod
    def default(self) -> Value:
        """The value where nothing else is known."""

    @property
    @abstractmethod
    def values(self) -> tuple[Value, ...]:
        """The values that a grid tries, in a fixed order; all of them, if they are countable."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many distinct values there are; ``None`` for a continuum."""

    @abstractmethod
    def prob_to_value(self, prob: float) -> Value:
        """Return the value at a cumulative probability in [0, 1)."""

    @abstractmethod
    def value_to_prob(self, value: Value) -> float:
        """Return the centre of the probabilities that give a value."""

    @abstractmethod
    def _own_config(self) -> dict[str, Any]:
        """Return what is particular to the kind."""

    def random_sample(self, seed: int | None = None) -> Value:
        """Draw a value; equal seeds give equal values."""
        return self.prob_to_value(random.Random(seed).random())  # noqa: S311 - not for secrets

    def get_config(self) -> dict[str, Any]:
        """Return the hyperparameter as data, in KerasTuner's form."""
        return {
            "name": self.name,
            **self._own_config(),
            "conditions": [condition.get_config() for condition in self.conditions],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HyperParameter:
        """Rebuild from :meth:`get_config`; the argument is left as it is."""
        own = dict(config)
        own["conditions"] = [condition_from_config(c) for c in config.get("conditions", [])]
        return cls(**own)

    @cached_property
    def identity(self) -> tuple[str, tuple[Parent, ...]]:
        """Name and conditions: what tells two hyperparameters of one space apart."""
        return (self.name, self.conditions)

    @cached_property
    def draw_key(self) -> bytes:
        """What seeds draws for this hyperparameter: its identity, as bytes."""
        return repr(self.identity).encode()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.get_config() == self.get_config()

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}: {v!r}" for k, v in self.get_config().items() if k != "conditions")
        return f"{type(self).__name__}({inside})"


def index_of(prob: float, count: int) -> int:
    """Return which of ``count`` equal parts of [0, 1) a probability lies in."""
    return max(0, min(count - 1, int(prob * count)))


def middle_of(index: int, count: int) -> float:
    """Return the middle of a part."""
    return (index + 0.5) / count


class Choice(HyperParameter):
    """One of several values.

    Args:
        name: Full name.
        values: ``str``, ``int``, ``float`` or ``bool``, all of one type.
        ordered: Whether their order means something; default for numbers. Only
            numbers can be ordered.
        default: One of the values; default the first.
        conditions: When it is active.

    Raises:
        ValueError: There are no values, the default is not among them, or
            strings are said to be ordered.
        TypeError: The values are of several types, or of another type.
    """

    kind = "Choice"

    def __init__(
        self,
        name: str,
        values: Iterable[Value],
        ordered: bool | None = None,
        default: Value | None = None,
        conditions: Sequence[Parent] | None = None,
    ) -> None:
        super().__init__(name, default, conditions)
        self._values = _checked_choices(self.name, values)
        numeric = isinstance(self._values[0], (int, float)) and not isinstance(
            self._values[0], bool
        )
        if ordered and not numeric:
            raise ValueError(
                f"`ordered` must be False for Choice {self.name!r}, since its values {list(self._values)!r} "
                "are not numbers."
            )
        if default is not None and default not in self._values:
            raise ValueError(
                f"The default value should be one of the choices {list(self._values)!r} of Choice "
                f"{self.name!r}, but is {default!r}."
            )
        self.ordered = numeric if ordered is None else ordered

    @property
    def default(self) -> Value:
        """The given default, or the first value."""
        return self._values[0] if self._default is None else self._default

    @property
    def values(self) -> tuple[Value, ...]:
        """All values, as given."""
        return self._values

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self._values)

    def prob_to_value(self, prob: float) -> Value:
        """Return the value whose equal part of [0, 1) holds the probability."""
        return self._values[index_of(prob, len(self._values))]

    def value_to_prob(self, value: Value) -> float:
        """Return the middle of the value's part."""
        return middle_of(self._values.index(value), len(self._values))

    def _own_config(self) -> dict[str, Any]:
        return {"default": self.default, "values": list(self._values), "ordered": self.ordered}


def _checked_choices(name: str, values: Iterable[Value]) -> tuple[Value, ...]:
    choices = tuple(values)
    if not choices:
        raise ValueError(f"`values` must be provided: Choice {name!r} has none.")
    types = {type(v) for v in choices}
    if len(types) > 1:
        raise TypeError(
            f"A Choice can contain only one type of value, but {name!r} has "
            f"{sorted(t.__name__ for t in types)}."
        )
    if types.isdisjoint({str, int, float, bool}):
        raise TypeError(
            f"A Choice can contain only int, float, str, or bool values, but {name!r} has "
            f"{types.pop().__name__}. Choose among names, and look the objects up in build()."
        )
    return choices


class Boolean(HyperParameter):
    """``True`` or ``False``.

    Args:
        name: Full name.
        default: Default ``False``.
        conditions: When it is active.

    Raises:
        ValueError: The default is neither ``True`` nor ``False``.
    """

    kind = "Boolean"

    def __init__(
        self, name: str, default: bool = False, conditions: Sequence[Parent] | None = None
    ) -> None:
        super().__init__(name, default, conditions)
        if default not in {True, False}:
            raise ValueError(
                f"`default` must be a Python boolean for Boolean {self.name!r}, but is {default!r}."
            )

    @property
    def default(self) -> bool:
        """The given default."""
        return bool(self._default)

    @property
    def values(self) -> tuple[Value, ...]:
        """Both values."""
        return (True, False)

    @property
    def size(self) -> int:
        """Two."""
        return 2

    def prob_to_value(self, prob: float) -> bool:
        """Return ``True`` for the upper half."""
        return prob >= 0.5  # noqa: PLR2004 - the middle of the unit interval

    def value_to_prob(self, value: Value) -> float:
        """Return the middle of the value's half."""
        return 0.75 if value else 0.25

    def _own_config(self) -> dict[str, Any]:
        return {"default": self.default}


class Fixed(HyperParameter):
    """A constant.

    Args:
        name: Full name.
        value: The constant.
        conditions: When it is active.

    Raises:
        ValueError: The value is not an ``int``, ``float``, ``str`` or ``bool``.
    """

    kind = "Fixed"

    def __init__(self, name: str, value: Value, conditions: Sequence[Parent] | None = None) -> None:
        super().__init__(name, value, conditions)
        if not isinstance(value, (int, float, str, bool)):
            raise ValueError(  # noqa: TRY004 - KerasTuner's contract
                f"`Fixed` value must be an int, float, str, or bool, but that of {self.name!r} is "
                f"{value!r}."
            )
        self.value = value

    @property
    def default(self) -> Value:
        """The constant."""
        return self.value

    @property
    def values(self) -> tuple[Value, ...]:
        """The constant alone."""
        return (self.value,)

    @property
    def size(self) -> int:
        """One."""
        return 1

    def prob_to_value(self, prob: float) -> Value:
        """Return the constant."""
        return self.value

    def value_to_prob(self, value: Value) -> float:
        """Return the middle of the unit interval."""
        return 0.5

    def _own_config(self) -> dict[str, Any]:
        return {"value": self.value}
