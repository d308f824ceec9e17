"""Configurations as rows of numbers, for a model that learns from them.

Only imported with a model-based search: it needs NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiotune._values import Value, Values
from aiotune.hyperparameters import Boolean, Choice, Fixed, Float, HyperParameter
from aiotune.hyperparameters._conditions import hold

__all__ = ("Axis", "Encoding", "Floats", "Indices", "Points")

_EDGE = 1e-12

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Bools = NDArray[np.bool_]

_LISTED = 1024
"""Values up to which a range is a list of places, to which a coordinate is rounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Configurations as the kernel sees them.

    Attributes:
        z: One row each, one column an axis: a place in [0, 1], or the number of
            a category. Where the axis is not active it means nothing.
        active: Which axes count, in the shape of ``z``.
    """

    z: Floats
    active: Bools

    def __len__(self) -> int:
        return len(self.z)

    def take(self, rows: Any) -> Points:
        """Return some of the configurations, by a NumPy index."""
        return Points(self.z[rows], self.active[rows])

    @staticmethod
    def join(*parts: Points) -> Points:
        """Return the configurations of several, in this order."""
        return Points(
            np.concatenate([p.z for p in parts]), np.concatenate([p.active for p in parts])
        )


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """A hyperparameter with more than one value.

    Attributes:
        hp: The hyperparameter.
        values: Its values by number; ``None`` for a continuum or a very long range.
        places: Of each of these values, its place in [0, 1]; of a category its number.
        is_category: Whether its values have no order.
    """

    hp: HyperParameter
    values: tuple[Value, ...] | None
    places: Floats
    is_category: bool

    @property
    def is_free(self) -> bool:
        """Whether any place in [0, 1] is a value of its own."""
        return self.values is None

    def place(self, value: Value) -> float:
        """Return where a value stands; one that is no longer offered where the default does."""
        if self.values is not None and value not in self.values:
            is_listed = self.is_category or isinstance(value, str) or isinstance(self.hp, Choice)
            value = self.hp.default if is_listed else self._nearest(value)
            if value not in self.values:
                return float(self.places[0])
        if self.values is None:
            return min(1.0, max(0.0, float(self.hp.value_to_prob(value))))
        return float(self.places[self.values.index(value)])

    def _nearest(self, value: Value) -> Value:
        return self.hp.prob_to_value(min(max(self.hp.value_to_prob(value), 0.0), 1 - 2**-53))

    def value(self, place: float) -> Value:
        """Return the value at a place, or at the one nearest to it."""
        if self.values is None:
            hp = self.hp
            # A probability is below 1, so the range's own end has none: the
            # nearest would be 0.9999999999999999 where 1 is meant.
            if isinstance(hp, Float) and hp.step is None and not _EDGE < place < 1 - _EDGE:
                return hp.min_value if place <= _EDGE else hp.max_value
            return hp.prob_to_value(min(max(place, 0.0), 1 - 2**-53))
        return self.values[int(np.argmin(np.abs(self.places - place)))]

    def rounded(self, places: Floats) -> Floats:
        """Return, for each place, the nearest one at which there is a value."""
        if self.values is None:
            return np.clip(places, 0.0, 1.0)
        if self.is_category:
            return np.clip(np.rint(places), 0.0, len(self.values) - 1.0)
        # The places ascend, so the nearest is found between two of them.
        middles = (self.places[1:] + self.places[:-1]) / 2
        rounded: Floats = self.places[np.searchsorted(middles, places)]
        return rounded


def _axis(hp: HyperParameter) -> Axis:
    if isinstance(hp, Boolean) or (isinstance(hp, Choice) and not hp.ordered):
        return Axis(hp, tuple(hp.values), np.arange(len(hp.values), dtype=float), is_category=True)
    size = hp.size
    if size is None or size > _LISTED:
        return Axis(hp, None, np.empty(0), is_category=False)
    domain = hp.domain
    assert domain is not None
    if isinstance(hp, Choice):
        # Ordered means by value: a list such as (0.1, 0.001, 0.01) is one in disorder.
        values = tuple(sorted(domain))
        return Axis(hp, values, np.linspace(0.0, 1.0, len(values)), is_category=False)
    probs = np.array([hp.value_to_prob(value) for value in domain])
    places = (probs - probs[0]) / (probs[-1] - probs[0])
    return Axis(hp, tuple(domain), places, is_category=False)


class Encoding:
    """A search space as axes.

    Args:
        entries: The hyperparameters, parents before children.

    Attributes:
        axes: The hyperparameters with more than one value; columns of :class:`Points`.
        conditional: For each axis, whether it is active in some configurations only.
    """

    def __init__(self, entries: Iterable[HyperParameter]) -> None:
        self.entries = tuple(entries)
        varying = [hp for hp in self.entries if not isinstance(hp, Fixed) and hp.size != 1]
        self.axes = tuple(_axis(hp) for hp in varying)
        self._column = {hp.identity: column for column, hp in enumerate(varying)}
        self._rules = tuple(self._rule(hp, at) for at, hp in enumerate(self.entries))
        names = [hp.name for hp in varying]
        self.conditional = np.array(
            [bool(hp.conditions) or names.count(hp.name) > 1 for hp in varying], dtype=bool
        )

    @property
    def width(self) -> int:
        """The number of axes."""
        return len(self.axes)

    # ── from values and back ───────────────────────────────────────────────

    def points(self, configurations: Sequence[Values]) -> Points:
        """Encode configurations; an active hyperparameter that one lacks stands at its default.

        A trial lacks what was discovered after it had been created.
        """
        z = np.zeros((len(configurations), self.width))
        active = np.zeros(z.shape, dtype=bool)
        for row, values in enumerate(configurations):
            self._encode(values, z[row], active[row])
        return Points(z, active)

    def _encode(self, values: Values, z: Floats, active: Bools) -> None:
        seen: dict[str, Value] = {}
        for hp in self.entries:
            if hp.name in seen or not hold(hp.conditions, seen):
                continue
            seen[hp.name] = value = values.get(hp.name, hp.default)
            column = self._column.get(hp.identity)
            if column is not None:
                z[column] = self.axes[column].place(value)
                active[column] = True

    def values(self, z: Floats) -> dict[str, Value]:
        """Decode one row; inactive hyperparameters are left out."""
        values: dict[str, Value] = {}
        for hp in self.entries:
            if hp.name in values or not hold(hp.conditions, values):
                continue
            column = self._column.get(hp.identity)
            values[hp.name] = (
                hp.values[0] if column is None else self.axes[column].value(float(z[column]))
            )
        return values

    # ── many rows at once ──────────────────────────────────────────────────

    def completed(self, z: Floats) -> Points:
        """Round each place to one at which there is a value, and find out what is active."""
        rounded = np.column_stack([axis.rounded(z[:, i]) for i, axis in enumerate(self.axes)])
        active = np.zeros(rounded.shape, dtype=bool)
        on: dict[int, Bools] = {}
        for number, rule in enumerate(self._rules):
            on[number] = rule(rounded, on)
            column = self._column.get(self.entries[number].identity)
            if column is not None:
                active[:, column] = on[number]
        return Points(rounded, active)

    def _rule(self, hp: HyperParameter, at: int) -> Callable[[Floats, dict[int, Bools]], Bools]:
        """Return what tells, for many rows, whether an entry is active."""
        twins = [i for i in range(at) if self.entries[i].name == hp.name]
        tests = [
            [(i, self._among(self.entries[i], parent.values)) for i in self._named(parent.name, at)]
            for parent in hp.conditions
        ]

        def rule(z: Floats, on: dict[int, Bools]) -> Bools:
            active = np.ones(len(z), dtype=bool)
            for alternatives in tests:
                holds = np.zeros(len(z), dtype=bool)
                for number, among in alternatives:
                    holds |= on[number] & among(z)
                active &= holds
            for twin in twins:
                active &= ~on[twin]
            return active

        return rule

    def _named(self, name: str, before: int) -> list[int]:
        return [i for i in range(before) if self.entries[i].name == name]

    def _among(self, hp: HyperParameter, wanted: Sequence[Value]) -> Callable[[Floats], Bools]:
        """Return what tells, for many rows, whether an entry has one of some values."""
        column = self._column.get(hp.identity)
        if column is None:
            constant = hp.values[0] in wanted
            return lambda z: np.full(len(z), constant)
        axis = self.axes[column]
        if axis.values is None:
            return lambda z: np.array([axis.value(place) in wanted for place in z[:, column]])
        places = [
            place for value, place in zip(axis.values, axis.places, strict=True) if value in wanted
        ]
        return lambda z: np.isin(z[:, column], places)

    def drawn(self, uniform: Floats) -> Points:
        """Return configurations from uniform numbers in [0, 1), one column an axis.

        Each value of a list is as likely as the others, and the ends of a
        range of many values are as likely as its middle.
        """
        columns = [uniform[:, i] for i in range(self.width)]
        for i, axis in enumerate(self.axes):
            if axis.values is not None:
                count = len(axis.values)
                numbers = np.minimum((uniform[:, i] * count).astype(int), count - 1)
                # A long logarithmic range is even in its places, not in its values.
                is_even = isinstance(axis.hp, (Choice, Boolean)) or _is_even(axis.places)
                columns[i] = axis.places[numbers] if is_even else uniform[:, i]
        return self.completed(np.column_stack(columns))


def _is_even(places: Floats) -> bool:
    steps = np.diff(places)
    return bool(np.allclose(steps, steps[0]))
