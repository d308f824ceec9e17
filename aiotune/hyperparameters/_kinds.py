"""What a hyperparameter is, and the kinds that list their values.

Every hyperparameter is frozen: all trials of a search share one object. A
value and a cumulative probability in [0, 1) correspond, and equal parts of the
unit interval, in the scale of ``sampling``, are equally likely.
"""

from __future__ import annotations

import numbers
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from json import dumps
from typing import Any, ClassVar, Self

from aiotune._printable import shown
from aiotune._values import Value
from aiotune.errors import ConfigurationError, WrongType
from aiotune.hyperparameters._checks import check_portable, checked_conditions, checked_name
from aiotune.hyperparameters._conditions import Parent, condition_from_config

__all__ = ("Boolean", "Choice", "Fixed", "HyperParameter", "index_of", "middle_of")


@dataclass(frozen=True, slots=True, init=False)
class HyperParameter(ABC):
    """One dimension of a search space.

    Attributes:
        name: Full name, scopes joined with ``/``.
        default: The value where nothing else is known.
        conditions: All must hold for it to be active.
        identity: Name and conditions: what tells two entries of one space apart.
        draw_key: The identity as 16 bytes, from which random draws are seeded.
    """

    kind: ClassVar[str]

    name: str
    default: Value
    conditions: tuple[Parent, ...]
    identity: tuple[str, tuple[Parent, ...]] = field(repr=False, compare=False)
    draw_key: bytes = field(repr=False, compare=False)

    def _freeze(self, name: str, conditions: Iterable[Parent] | None, **own: Any) -> None:
        """Set every field once; a frozen class has no other way to be written."""
        name = checked_name(self.kind, name)
        conditions = checked_conditions(f"{self.kind} {name!r}", conditions)
        text = dumps([name, [[parent.name, parent.values] for parent in conditions]])
        key = blake2b(text.encode(), digest_size=16).digest()
        fields = {"name": name, "conditions": conditions, "draw_key": key, **own}
        for attribute, value in fields.items():
            object.__setattr__(self, attribute, value)
        object.__setattr__(self, "identity", (name, conditions))

    @property
    @abstractmethod
    def values(self) -> tuple[Value, ...]:
        """The values that a grid tries, in a fixed order."""

    def each_value(self) -> Iterator[Value]:
        """Yield :attr:`values` one by one: a range may have billions, of which a search takes few."""
        return iter(self.values)

    @property
    @abstractmethod
    def domain(self) -> Sequence[Value] | None:
        """Every value that can be drawn, in a fixed order; ``None`` for a continuum."""

    @property
    def size(self) -> int | None:
        """How many values can be drawn; ``None`` for a continuum."""
        domain = self.domain
        return None if domain is None else len(domain)

    def accepts(self, value: Value) -> bool:
        """Whether a value can be drawn."""
        domain = self.domain
        return domain is not None and value in domain

    @abstractmethod
    def prob_to_value(self, prob: float) -> Value:
        """Return the value at a cumulative probability in [0, 1)."""

    @abstractmethod
    def value_to_prob(self, value: Value) -> float:
        """Return the middle, in [0, 1], of the probabilities that give a value.

        Raises:
            ConfigurationError: The value is not one of a list of values. A
                number outside a range counts as the nearest in it.
        """

    @abstractmethod
    def _own_config(self) -> dict[str, Any]:
        """Return the constructor's arguments that are particular to the kind."""

    def random_sample(self, seed: int | None = None) -> Value:
        """Draw a value; equal seeds give equal values, ``None`` a value of chance."""
        return self.prob_to_value(random.Random(seed).random())  # noqa: S311 - not for secrets

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON data, in KerasTuner's form."""
        conditions = [condition.get_config() for condition in self.conditions]
        own = self._own_config()
        first = {"default": own.pop("default")} if "default" in own else {}
        return {"name": self.name, **first, "conditions": conditions, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild from :meth:`get_config`; the argument is left as it is."""
        make: Callable[..., Self] = cls
        conditions = [condition_from_config(c) for c in config.get("conditions", ())]
        return make(**{**config, "conditions": conditions})


def index_of(prob: float, count: int) -> int:
    """Return which of ``count`` equal parts of [0, 1) a probability lies in."""
    return max(0, min(count - 1, int(prob * count)))


def middle_of(index: int, count: int) -> float:
    """Return the middle of one of ``count`` equal parts of [0, 1)."""
    return (index + 0.5) / count


@dataclass(frozen=True, slots=True, init=False)
class Choice(HyperParameter):
    """One of several values, each as likely as the others.

    Args:
        name: Full name.
        values: ``str``, ``int``, ``float`` or ``bool``, all of one type. A
            value that is listed again counts once.
        ordered: Whether their order means something; default for numbers. Only
            numbers can be ordered.
        default: One of the values; default the first.
        conditions: When it is active; default always.

    Raises:
        ConfigurationError: There are no values, one cannot be written down (NaN, infinite,
            more than 64 bits, too long a text), the default is not among them, or values that
            are no numbers are to be ordered.
        WrongType: The values are no list, of several types, or of another type; the name is not
            text, or ``ordered`` neither ``True`` nor ``False``. It is a ``TypeError``.
    """

    kind: ClassVar[str] = "Choice"

    values: tuple[Value, ...]
    ordered: bool

    def __init__(
        self,
        name: str,
        values: Iterable[Value],
        ordered: bool | None = None,
        default: Value | None = None,
        conditions: Iterable[Parent] | None = None,
    ) -> None:
        name = checked_name(self.kind, name)
        choices = _checked_choices(name, values)
        is_ordered = _checked_order(name, choices, ordered)
        wanted = choices[0] if default is None else _plain(default)
        if wanted not in choices:
            raise ConfigurationError(
                f"The default value should be one of the choices {shown(list(choices))} of Choice "
                f"{name!r}, but it is {shown(default)}. Choose one of them, or leave the default out."
            )
        # The choice equal to the default, so that 1 does not stand for True.
        chosen = choices[choices.index(wanted)]
        self._freeze(name, conditions, values=choices, ordered=is_ordered, default=chosen)

    @property
    def domain(self) -> tuple[Value, ...]:
        """All values, as listed."""
        return self.values

    def prob_to_value(self, prob: float) -> Value:
        """Return the value whose equal part of [0, 1) holds the probability."""
        return self.values[index_of(prob, len(self.values))]

    def value_to_prob(self, value: Value) -> float:
        """Return the middle of the value's part.

        Raises:
            ConfigurationError: The value is not one of the choices.
        """
        if value not in self.values:
            raise ConfigurationError(
                f"{shown(value)} is not one of the choices {shown(list(self.values))} of Choice "
                f"{self.name!r}. Choose one of them."
            )
        return middle_of(self.values.index(value), len(self.values))

    def _own_config(self) -> dict[str, Any]:
        return {"default": self.default, "values": list(self.values), "ordered": self.ordered}


def _checked_choices(name: str, values: Iterable[Value]) -> tuple[Value, ...]:
    listed = _checked_list(name, values)
    if not listed:
        raise ConfigurationError(
            f"`values` must be provided: Choice {name!r} has none to choose. List at least one."
        )
    plain = [_plain(value) for value in listed]
    for value, as_listed in zip(plain, listed, strict=True):
        if value is None:
            raise WrongType(
                f"A Choice can contain only `int`, `float`, `str`, or `bool` values, but {name!r} has "
                f"{shown(as_listed)} of type {type(as_listed).__name__}. Choose among names, and look "
                "the objects up in build()."
            )
        check_portable(f"Choice {name!r} has", value)
    types = sorted({type(value).__name__ for value in plain})
    if len(types) > 1:
        raise WrongType(
            f"A Choice can contain only one type of values, but {name!r} has {shown(listed)} of types "
            f"{', '.join(types)}. Write them all as one type."
        )
    return tuple(dict.fromkeys(value for value in plain if value is not None))


def _checked_list(name: str, values: Iterable[Value]) -> list[Value]:
    if isinstance(values, (str, bytes)):
        raise WrongType(
            f"`values` of Choice {name!r} is the text {shown(values)}, of which each letter would be a "
            "choice. Write a list of values, as in ['adam', 'sgd']."
        )
    if isinstance(values, (set, frozenset)):
        raise WrongType(
            f"`values` of Choice {name!r} is the set {shown(values)}, whose order may be another one each "
            "time the program runs. Write a list."
        )
    try:
        return list(values)
    except TypeError:
        raise WrongType(
            f"`values` of Choice {name!r} must be a list, but is {shown(values)} of type "
            f"{type(values).__name__}. Write a list of values, or hp.Fixed() for a single one."
        ) from None


def _checked_order(name: str, choices: tuple[Value, ...], ordered: Any) -> bool:
    numeric = not isinstance(choices[0], (str, bool))
    if ordered is None:
        return numeric
    if not _is_truth(ordered):
        raise WrongType(
            f"`ordered` of Choice {name!r} must be True, False or None, but is {shown(ordered)}. Leave it "
            "out: numbers are ordered, names are not."
        )
    if ordered and not numeric:
        raise ConfigurationError(
            f"`ordered` must be False for Choice {name!r}, since its values {shown(list(choices))} are "
            "not numbers. Leave it out."
        )
    return bool(ordered)


def _plain(value: object) -> Value | None:
    """Return a value as the built-in type that it is a form of, NumPy's too; else ``None``."""
    if isinstance(value, (bool, str)):
        return bool(value) if isinstance(value, bool) else str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return None


def _is_truth(value: Any) -> bool:
    try:
        return value in (True, False)
    except ValueError:  # an array of several, compared with one
        return False


@dataclass(frozen=True, slots=True, init=False)
class Boolean(HyperParameter):
    """``True`` or ``False``.

    Args:
        name: Full name.
        default: Default ``False``.
        conditions: When it is active; default always.

    Raises:
        ConfigurationError: The default is neither ``True`` nor ``False``.
        WrongType: The name is not text; it is a ``TypeError``.
    """

    kind: ClassVar[str] = "Boolean"

    default: bool

    def __init__(
        self, name: str, default: bool = False, conditions: Iterable[Parent] | None = None
    ) -> None:
        name = checked_name(self.kind, name)
        if not _is_truth(default):
            raise ConfigurationError(
                f"`default` must be a Python boolean, but that of Boolean {name!r} is {shown(default)}. "
                "Write True or False."
            )
        self._freeze(name, conditions, default=bool(default))

    @property
    def values(self) -> tuple[bool, ...]:
        """Both values."""
        return (True, False)

    @property
    def domain(self) -> tuple[bool, ...]:
        """Both values."""
        return (True, False)

    def prob_to_value(self, prob: float) -> bool:
        """Return ``True`` for the upper half."""
        return prob >= 0.5  # noqa: PLR2004 - the middle of the unit interval

    def value_to_prob(self, value: Value) -> float:
        """Return the middle of the value's half."""
        return 0.75 if value else 0.25

    def _own_config(self) -> dict[str, Any]:
        return {"default": self.default}


@dataclass(frozen=True, slots=True, init=False)
class Fixed(HyperParameter):
    """A constant that is listed with the others.

    Args:
        name: Full name.
        value: The constant.
        conditions: When it is active; default always.

    Raises:
        ConfigurationError: The value is not an ``int``, ``float``, ``str`` or
            ``bool``, or it cannot be written down.
        WrongType: The name is not text; it is a ``TypeError``.
    """

    kind: ClassVar[str] = "Fixed"

    value: Value

    def __init__(self, name: str, value: Value, conditions: Iterable[Parent] | None = None) -> None:
        name, constant = checked_name(self.kind, name), _plain(value)
        if constant is None:
            raise ConfigurationError(
                f"`Fixed` value must be an `int`, `float`, `str`, or `bool`, but that of {name!r} is "
                f"{shown(value)} of type {type(value).__name__}. Use a name, and look the object up in "
                "build()."
            )
        check_portable(f"Fixed {name!r} has", constant)
        self._freeze(name, conditions, default=constant, value=constant)

    @property
    def values(self) -> tuple[Value, ...]:
        """The constant alone."""
        return (self.value,)

    @property
    def domain(self) -> tuple[Value, ...]:
        """The constant alone."""
        return (self.value,)

    def prob_to_value(self, prob: float) -> Value:
        """Return the constant."""
        return self.value

    def value_to_prob(self, value: Value) -> float:
        """Return the middle of the unit interval."""
        return 0.5

    def _own_config(self) -> dict[str, Any]:
        return {"value": self.value}
