"""Int and Float: ranges with a scale and, if wanted, a step."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

from aiotune._values import Value
from aiotune.hyperparameters._checks import (
    check_count,
    check_range,
    checked_default,
    checked_name,
    checked_number,
    checked_scale,
    checked_whole,
)
from aiotune.hyperparameters._conditions import Parent
from aiotune.hyperparameters._kinds import HyperParameter, index_of, middle_of

__all__ = ("Float", "Int")

_SLACK = 1e-8
"""Steps that end within this part of a step before ``max_value`` reach it."""
_PROBES = tuple(0.05 + 0.1 * i for i in range(10))
"""Where a grid looks into a range that has no step."""


@dataclass(frozen=True, slots=True, init=False)
class _Range(HyperParameter):
    """What Int and Float share. Both bounds are inclusive.

    With a step there are ``_count`` values, numbered from 0, and each has an
    equal part of [0, 1). Without one, [0, 1) is laid over the range from
    ``min_value`` to ``_end``, straight or by the scale.
    """

    min_value: float
    max_value: float
    step: float | None
    sampling: str
    _count: int | None = field(repr=False, compare=False)

    @abstractmethod
    def _nth(self, index: int) -> Value:
        """Return the value of a stepped range with this number."""

    @abstractmethod
    def _nearest(self, value: float) -> int:
        """Return the number of the stepped range's value nearest to one within the bounds."""

    @property
    @abstractmethod
    def _end(self) -> float:
        """Where the unit interval ends."""

    @abstractmethod
    def _at(self, place: float) -> Value:
        """Return the value at a place between ``min_value`` and ``_end``."""

    @property
    def values(self) -> tuple[Value, ...]:
        """All values of a stepped range; otherwise up to ten, evenly spread over [0, 1)."""
        if self._count is not None:
            return tuple(self.each_value())
        return tuple(dict.fromkeys(self.prob_to_value(prob) for prob in _PROBES))

    def each_value(self) -> Iterator[Value]:
        """Yield :attr:`values` one by one."""
        return iter(self.values) if self._count is None else map(self._nth, range(self._count))

    def prob_to_value(self, prob: float) -> Value:
        """Return the value at a cumulative probability in [0, 1)."""
        if self._count is not None:
            return self._nth(index_of(prob, self._count))
        low, high = self.min_value, self._end
        if self.sampling == "linear":
            return self._at(low + prob * (high - low))
        if self.sampling == "log":
            return self._at(low * (high / low) ** prob)
        return self._at(high + low - low * (high / low) ** (1.0 - prob))

    def value_to_prob(self, value: Value) -> float:
        """Return the middle of the probabilities that give a value.

        A number outside the range counts as the bound nearest to it, a number
        between two steps as the nearer of them.
        """
        number = min(max(float(value), self.min_value), self.max_value)
        if self._count is not None:
            return middle_of(max(0, min(self._count - 1, self._nearest(number))), self._count)
        low, high = self.min_value, self._end
        if low == high:
            return 0.5
        # A whole number n stands for the places from n to n + 1.
        place = number + (high - self.max_value) / 2
        if self.sampling == "linear":
            return (place - low) / (high - low)
        if self.sampling == "log":
            return math.log(place / low) / math.log(high / low)
        # Subtracted first: a lower end that is lost beside the upper one would leave 0.
        return 1.0 - math.log(((high - place) + low) / low) / math.log(high / low)

    def _own_config(self) -> dict[str, Any]:
        return {
            "default": self.default,
            "min_value": self.min_value,
            "max_value": self.max_value,
            "step": self.step,
            "sampling": self.sampling,
        }


@dataclass(frozen=True, slots=True, init=False)
class Int(_Range):
    """A whole number.

    Args:
        name: Full name.
        min_value: Least value.
        max_value: Greatest value, if the step meets it.
        step: Distance (``linear``) or ratio (``log``, ``reverse_log``) of
            neighbouring values; default every whole number. ``reverse_log``
            steps down from ``max_value``: its steps are fine at that end.
        sampling: ``"linear"``, ``"log"`` or ``"reverse_log"``; ``None`` is linear.
        default: Default ``min_value``.
        conditions: When it is active; default always.

    Raises:
        ConfigurationError: The name, a bound, the step, the scale or the default is impossible.
        WrongType: One of them is not a number, or the name not text; it is a ``TypeError``.
    """

    kind: ClassVar[str] = "Int"

    default: int
    min_value: int
    max_value: int
    step: int | None

    def __init__(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        conditions: Iterable[Parent] | None = None,
    ) -> None:
        who = f"Int {checked_name('Int', name)!r}"
        low = checked_whole(who, "min_value", min_value)
        high = checked_whole(who, "max_value", max_value)
        scale = checked_scale(who, sampling)
        ratio = None if step is None else checked_whole(who, "step", step)
        if ratio is None and scale == "linear":
            ratio = 1
        check_range(who, low, high, ratio, scale)
        self._freeze(
            name,
            conditions,
            default=checked_default(who, default, low, high, checked_whole),
            min_value=low,
            max_value=high,
            step=ratio,
            sampling=scale,
            _count=None if ratio is None else _count_ints(low, high, ratio, scale),
        )

    @property
    def domain(self) -> Sequence[int]:
        """All values, in the order of their probabilities."""
        if self._count is None:
            return range(self.min_value, self.max_value + 1)
        if self.sampling == "linear":
            assert self.step is not None
            return range(self.min_value, self.max_value + 1, self.step)
        return tuple(self._nth(index) for index in range(self._count))

    @property
    def size(self) -> int:
        """How many values can be drawn."""
        # Not the length of the domain: Python measures none of 2**63 values and more.
        return self.max_value - self.min_value + 1 if self._count is None else self._count

    def accepts(self, value: Value) -> bool:
        """Whether a value can be drawn."""
        # A range compares what is no int with its members one after the other, were they billions.
        if isinstance(value, str) or (isinstance(value, float) and not value.is_integer()):
            return False
        return int(value) in self.domain

    def _nth(self, index: int) -> int:
        assert self.step is not None
        if self.sampling == "linear":
            return self.min_value + index * self.step
        grown: int = self.min_value * self.step**index
        return grown if self.sampling == "log" else self.max_value + self.min_value - grown

    def _nearest(self, value: float) -> int:
        assert self.step is not None
        if self.sampling == "linear":
            return round((value - self.min_value) / self.step)
        grown = value if self.sampling == "log" else (self.max_value - value) + self.min_value
        return round(math.log(grown / self.min_value, self.step))

    @property
    def _end(self) -> int:
        return self.max_value + 1

    def _at(self, place: float) -> int:
        return max(self.min_value, min(self.max_value, int(place)))


@dataclass(frozen=True, slots=True, init=False)
class Float(_Range):
    """A number.

    A linear step is taken as the decimal it is written as, so that
    ``Float(0, 1, step=0.1)`` has exactly the values 0.0, 0.1, 0.2 … 1.0.

    Args:
        name: Full name.
        min_value: Least value.
        max_value: Greatest value, if the step meets it.
        step: Distance (``linear``) or ratio (``log``, ``reverse_log``) of
            neighbouring values; default any number in the range.
            ``reverse_log`` steps down from ``max_value``.
        sampling: ``"linear"``, ``"log"`` or ``"reverse_log"``; ``None`` is linear.
        default: Default ``min_value``.
        conditions: When it is active; default always.

    Raises:
        ConfigurationError: The name, a bound, the step, the scale or the default is impossible.
        WrongType: One of them is not a number, or the name not text; it is a ``TypeError``.
    """

    kind: ClassVar[str] = "Float"

    default: float
    # A linear step's values are (first + number * stride) / parts, in whole
    # numbers: exact decimals, and ten times faster than fractions.
    _ticks: tuple[int, int, int] = field(repr=False, compare=False)

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        conditions: Iterable[Parent] | None = None,
    ) -> None:
        who = f"Float {checked_name('Float', name)!r}"
        low = checked_number(who, "min_value", min_value)
        high = checked_number(who, "max_value", max_value)
        scale = checked_scale(who, sampling)
        width = None if step is None else checked_number(who, "step", step)
        check_range(who, low, high, width, scale)
        self._freeze(
            name,
            conditions,
            default=checked_default(who, default, low, high, checked_number),
            min_value=low,
            max_value=high,
            step=width,
            sampling=scale,
            _count=None if width is None else _count_floats(who, low, high, width, scale),
            _ticks=_ticks(low, width) if width is not None and scale == "linear" else (0, 0, 1),
        )

    @property
    def domain(self) -> tuple[Value, ...] | None:
        """All values of a stepped range, or of one with equal ends; ``None`` of others."""
        return None if self.size is None else self.values

    @property
    def size(self) -> int | None:
        """How many values a stepped range has, or one with equal ends; ``None`` of others."""
        return 1 if self.min_value == self.max_value else self._count

    def accepts(self, value: Value) -> bool:
        """Whether a value can be drawn."""
        if self._count is not None:
            return value in self.values
        return not isinstance(value, str) and self.min_value <= value <= self.max_value

    def _nth(self, index: int) -> float:
        assert self.step is not None
        if self.sampling == "linear":
            first, stride, parts = self._ticks
            value = (first + index * stride) / parts
            reached = self.max_value - value <= _SLACK * self.step
            return self.max_value if reached else value
        # 14 digits hide what the power adds to 0.1: 1e-6 * 10.0**5 is 0.09999999999999999.
        grown = float(f"{self.min_value * self.step**index:.14g}")
        if self.sampling == "reverse_log":
            grown = float(f"{self.max_value + self.min_value - grown:.14g}")
        return self._at(grown)

    def _nearest(self, value: float) -> int:
        assert self.step is not None
        if self.sampling == "linear":
            return round((value - self.min_value) / self.step)
        grown = value if self.sampling == "log" else (self.max_value - value) + self.min_value
        return round(math.log(grown / self.min_value) / math.log(self.step))

    @property
    def _end(self) -> float:
        return self.max_value

    def _at(self, place: float) -> float:
        return max(self.min_value, min(self.max_value, place))


def _count_ints(low: int, high: int, step: int, scale: str) -> int:
    if scale == "linear":
        return (high - low) // step + 1
    count = 1
    while low * step**count <= high:
        count += 1
    return count


def _count_floats(who: str, low: float, high: float, step: float, scale: str) -> int:
    if scale == "linear":
        steps: float | Fraction = (_decimal(high) - _decimal(low)) / _decimal(step)
    else:
        steps = math.log(high / low) / math.log(step)
    check_count(who, step, float(min(steps, 1e300)))
    return math.floor(steps + _SLACK) + 1


def _ticks(low: float, step: float) -> tuple[int, int, int]:
    first, stride = _decimal(low), _decimal(step)
    parts = math.lcm(first.denominator, stride.denominator)
    return int(first * parts), int(stride * parts), parts


def _decimal(number: float) -> Fraction:
    """Return the number as it is written: 1/10 for 0.1, not the binary float next to it."""
    return Fraction(repr(number))
