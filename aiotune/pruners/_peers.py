"""The other trials of a search, as a pruner sees them: curves one by one, or a value's place among theirs.

A search of ten thousand trials asks a pruner after each epoch, on the event loop. To look
at each curve would take tens of milliseconds then, so values are kept in order, by step.
"""

from __future__ import annotations

import math
import statistics
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from aiotune.pruners._base import Curve, badness

__all__ = ("Columns", "Peers", "Standing", "standing")

_FEW = 8
"""As many new values are put in their places; of more, all are sorted once."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a value stands among what others reported at a step.

    Attributes:
        count: How many reported there.
        better: How many of these are better than the value.
        median: Badness of the one in the middle, of two the worse; infinity without any.
    """

    count: int
    better: int
    median: float


def standing(own: float, step: int, others: Sequence[Curve], *, minimize: bool) -> Standing:
    """Return where a value stands among the others at a step.

    Args:
        own: Its badness.
        step: The step.
        others: The other trials; of :class:`Peers` none has to be looked at.
        minimize: Whether a smaller objective is better.
    """
    if isinstance(others, Peers):
        return others.standing(own, step)
    there = [
        badness(other.values[step], minimize=minimize) for other in others if step in other.values
    ]
    better = sum(value < own for value in there)
    return Standing(len(there), better, statistics.median_high(there) if there else math.inf)


class _Column:
    """The badness of all trials at one step, in order."""

    __slots__ = ("_new", "_ordered")

    def __init__(self) -> None:
        self._ordered = array("d")
        self._new: list[float] = []

    def add(self, bad: float) -> None:
        self._new.append(bad)

    def remove(self, bad: float) -> None:
        ordered = self.ordered()
        ordered.pop(bisect_left(ordered, bad))

    def ordered(self) -> array[float]:
        if len(self._new) > _FEW:
            self._ordered = array("d", sorted([*self._ordered, *self._new]))
        else:
            for bad in self._new:
                insort(self._ordered, bad)
        self._new.clear()
        return self._ordered


class Columns:
    """What all trials reported, by step: eight bytes a value."""

    def __init__(self) -> None:
        self._columns: dict[int, _Column] = {}

    def add(self, step: int, bad: float) -> None:
        """Take in a value's badness."""
        column = self._columns.get(step)
        if column is None:
            column = self._columns[step] = _Column()
        column.add(bad)

    def remove(self, step: int, bad: float) -> None:
        """Take back one that was added."""
        self._columns[step].remove(bad)

    def settle(self) -> None:
        """Put all in order now, so that no judgement has to."""
        for column in self._columns.values():
            column.ordered()

    def standing(self, own: float, step: int, *, without: float | None) -> Standing:
        """Return where a value stands at a step.

        Args:
            own: Its badness.
            step: The step.
            without: The badness that its own trial reported there, if it did.
        """
        column = self._columns.get(step)
        ordered = column.ordered() if column is not None else array("d")
        count, better = len(ordered), bisect_left(ordered, own)
        if without is None:
            return Standing(count, better, ordered[count // 2] if count else math.inf)
        count -= 1
        better -= without < own
        middle = count // 2
        middle += middle >= bisect_left(ordered, without)
        return Standing(count, better, ordered[middle] if count else math.inf)


class Peers(Sequence[Curve]):
    """All other trials that have reported something.

    Args:
        columns: What all trials reported, the judged one's values included.
        own: The judged trial's curve.
        curves: Returns the others' curves; called only for who looks at them.
        minimize: Whether a smaller objective is better.
    """

    def __init__(
        self,
        columns: Columns,
        own: Curve,
        curves: Callable[[], list[Curve]],
        *,
        minimize: bool,
    ) -> None:
        self._columns, self._own, self._minimize = columns, own, minimize
        self._make = curves
        self._made: list[Curve] | None = None

    def standing(self, own: float, step: int) -> Standing:
        """Return where a value stands among the others at a step; see :func:`standing`."""
        reported = self._own.values.get(step)
        without = None if reported is None else badness(reported, minimize=self._minimize)
        return self._columns.standing(own, step, without=without)

    def _curves(self) -> list[Curve]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __len__(self) -> int:
        return len(self._curves())

    def __iter__(self) -> Iterator[Curve]:
        return iter(self._curves())

    @overload
    def __getitem__(self, index: int) -> Curve: ...

    @overload
    def __getitem__(self, index: slice) -> list[Curve]: ...

    def __getitem__(self, index: Any) -> Any:
        return self._curves()[index]

    def __repr__(self) -> str:
        return repr(self._curves())

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self._curves()),)  # for who sends them to another process
