"""Int and Float: ranges with a scale and, if wanted, a step."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from aiotune._values import Value
from aiotune.hyperparameters._conditions import Parent
from aiotune.hyperparameters._kinds import HyperParameter, index_of, middle_of

__all__ = ("Float", "Int")

_SCALES = ("linear", "log", "reverse_log")
_SLACK = 1e-8
"""Steps that end within this part of the last one count as reaching the end:
binary floats make (1 - 0) / 0.1 a hair less than 10."""


class _Range(HyperParameter):
    """What Int and Float share; bounds are inclusive."""

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None,
        sampling: str | None,
        default: Value | None,
        conditions: Sequence[Parent] | None,
    ) -> None:
        super().__init__(name, default, conditions)
        self.min_value, self.max_value, self.step = min_value, max_value, step
        self.sampling = (sampling or "linear").lower()
        self._check()

    def _check(self) -> None:
        what, low, high = f"{self.kind} {self.name!r}", self.min_value, self.max_value
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"The bounds of {what} must be finite, but are [{low}, {high}].")
        if low > high:
            raise ValueError(
                f"min_value {low} is greater than the max_value {high} of {what}. Swap them."
            )
        if self.sampling not in _SCALES:
            raise ValueError(
                f"`sampling` must be one of {_SCALES}, but is {self.sampling!r} for {what}."
            )
        if self.sampling == "linear":
            if self.step is not None and not self.step > 0:
                raise ValueError(f"`step` must be greater than 0, but is {self.step} for {what}.")
        else:
            if low <= 0:
                raise ValueError(
                    f"`sampling={self.sampling!r}` does not support negative values or 0: min_value is "
                    f"{low} for {what}. Raise min_value, or sample linearly."
                )
            if self.step is not None and not self.step > 1:
                raise ValueError(
                    f"`sampling={self.sampling!r}` expected step > 1 (it multiplies), but it is "
                    f"{self.step} for {what}."
                )
        self._check_default(what)

    def _check_default(self, what: str) -> None:
        given = self._default
        if given is None:
            return
        if isinstance(given, (bool, str)) or not isinstance(given, (int, float)):
            raise TypeError(f"The default of {what} must be a number, but is {given!r}.")
        if not self.min_value <= given <= self.max_value:
            raise ValueError(
                f"The default {given} of {what} lies outside [{self.min_value}, {self.max_value}]."
            )

    @abstractmethod
    def _cast(self, value: float) -> Value:
        """Turn a position in the range into a value."""

    @cached_property
    def _grid(self) -> tuple[Value, ...] | None:
        """All values of a stepped range, in the order of their probabilities."""
        if self.step is None:
            return None
        low, high, step = self.min_value, self.max_value, self.step
        if self.sampling == "linear":
            count = int((high - low) / step + _SLACK) + 1
            places = [self._on_grid(low + i * step) for i in range(count)]
        else:
            count = int(math.log(high / low, step) + _SLACK) + 1
            places = [low * step**i for i in range(count)]
            if self.sampling == "reverse_log":
                places = [high + low - place for place in places]
        return tuple(dict.fromkeys(self._cast(place) for place in places))

    def _on_grid(self, place: float) -> float:
        # 0.1 * 3 is 0.30000000000000004: say what the user's step says.
        digits = max(_decimals(self.step), _decimals(self.min_value))
        return min(round(place, digits), self.max_value) if digits <= 15 else place  # noqa: PLR2004

    @property
    def values(self) -> tuple[Value, ...]:
        """All values of a stepped range; else up to ten, spread evenly over the probabilities."""
        if self._grid is not None:
            return self._grid
        return tuple(dict.fromkeys(self.prob_to_value(0.05 + 0.1 * i) for i in range(10)))

    def prob_to_value(self, prob: float) -> Value:
        """Return the value at a cumulative probability in [0, 1)."""
        if self._grid is not None:
            return self._grid[index_of(prob, len(self._grid))]
        low, high = self.min_value, self._open_end
        if self.sampling == "linear":
            place = low + prob * (high - low)
        elif self.sampling == "log":
            place = low * (high / low) ** prob
        else:
            place = high + low - low * (high / low) ** (1.0 - prob)
        return self._cast(min(place, self.max_value) if high == self.max_value else place)

    def value_to_prob(self, value: Value) -> float:
        """Return the centre of the probabilities that give a value."""
        number = float(value)
        if self._grid is not None:
            nearest = min(range(len(self._grid)), key=lambda i: abs(float(self._grid[i]) - number))  # type: ignore[index]
            return middle_of(nearest, len(self._grid))
        low, high = self.min_value, self._open_end
        if low == high:
            return 0.5
        number = number + self._centre
        if self.sampling == "linear":
            prob = (number - low) / (high - low)
        elif self.sampling == "log":
            prob = math.log(number / low) / math.log(high / low)
        else:
            prob = 1.0 - math.log((high + low - number) / low) / math.log(high / low)
        return min(max(prob, 0.0), 1.0)

    @property
    def _open_end(self) -> float:
        """The end of the range that probabilities are spread over."""
        return self.max_value

    _centre = 0.0

    def _own_config(self) -> dict[str, Any]:
        return {
            "default": self._default,
            "min_value": self.min_value,
            "max_value": self.max_value,
            "step": self.step,
            "sampling": self.sampling,
        }


def _decimals(number: float | None) -> int:
    text = repr(float(number or 0))
    if "e" in text:
        mantissa, exponent = text.split("e")
        return max(0, len(mantissa.partition(".")[2]) - int(exponent))
    return len(text.partition(".")[2])


class Int(_Range):
    """A whole number.

    Args:
        name: Full name.
        min_value: Least value.
        max_value: Greatest value.
        step: Distance (``linear``) or ratio (``log``, ``reverse_log``) of
            neighbouring values; default every whole number.
        sampling: ``"linear"``, ``"log"`` or ``"reverse_log"``.
        default: Default ``min_value``.
        conditions: When it is active.

    Raises:
        ValueError: A bound, the step or the default is impossible.
    """

    kind = "Int"

    def __init__(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        conditions: Sequence[Parent] | None = None,
    ) -> None:
        low, high = _whole(name, "min_value", min_value), _whole(name, "max_value", max_value)
        if step is not None:
            step = _whole(name, "step", step)
        elif (sampling or "linear").lower() == "linear":
            step = 1
        if default is not None and not isinstance(default, str):
            default = _whole(name, "default", default)
        super().__init__(name, low, high, step, sampling, default, conditions)

    @property
    def default(self) -> int:
        """The given default, or the least value."""
        return int(self.min_value if self._default is None else self._default)

    @property
    def size(self) -> int:
        """How many whole numbers there are."""
        grid = self._grid
        return len(grid) if grid is not None else int(self.max_value - self.min_value) + 1

    def _cast(self, value: float) -> int:
        return max(int(self.min_value), min(int(self.max_value), math.floor(value + _SLACK)))

    @cached_property
    def _grid(self) -> tuple[Value, ...] | None:
        # A plain range of a million whole numbers needs no list of them.
        if self.sampling == "linear" and self.step == 1:
            return None
        return super()._grid

    @property
    def values(self) -> tuple[Value, ...]:
        """All whole numbers of a linear or stepped range; else up to ten of them."""
        if self.sampling == "linear" and self.step == 1:
            return tuple(range(int(self.min_value), int(self.max_value) + 1))
        return super().values

    @property
    def _open_end(self) -> float:
        # Each whole number n stands for [n, n + 1).
        return self.max_value + 1

    _centre = 0.5


def _whole(name: str, what: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or number != value:
        raise ValueError(f"{what} must be an int, but is {value!r} for Int {name!r}.")
    return number


class Float(_Range):
    """A number.

    Args:
        name: Full name.
        min_value: Least value.
        max_value: Greatest value.
        step: Distance (``linear``) or ratio (``log``, ``reverse_log``) of
            neighbouring values; default any number in the range.
        sampling: ``"linear"``, ``"log"`` or ``"reverse_log"``.
        default: Default ``min_value``.
        conditions: When it is active.

    Raises:
        ValueError: A bound, the step or the default is impossible.
    """

    kind = "Float"

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        conditions: Sequence[Parent] | None = None,
    ) -> None:
        super().__init__(
            name, float(min_value), float(max_value), step, sampling, default, conditions
        )

    @property
    def default(self) -> float:
        """The given default, or the least value."""
        return float(self.min_value if self._default is None else self._default)

    @property
    def size(self) -> int | None:
        """How many values a stepped range has; ``None`` without a step."""
        return None if self._grid is None else len(self._grid)

    def _cast(self, value: float) -> float:
        return max(self.min_value, min(self.max_value, float(value)))

    def _own_config(self) -> dict[str, Any]:
        return {**super()._own_config(), "default": self.default}
