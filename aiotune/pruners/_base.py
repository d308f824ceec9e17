"""What a pruner is: a pure function of learning curves to go on or stop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ("Curve", "Pruner", "badness")


@dataclass(frozen=True, slots=True)
class Curve:
    """What one trial has reported of the objective so far.

    Attributes:
        index: The trial's position in order of creation, from 0.
        values: The objective by step, counted from 0; with several executions, that of
            the first one, or their mean. May be NaN. May have gaps: a trial that validates
            every second epoch has every second step. A pruner reads it and keeps no part of it.
        done: Whether the trial has ended, so that no value follows.
    """

    index: int
    values: Mapping[int, float]
    done: bool = False


class Pruner(Protocol):
    """Decides whether a running trial is worth going on with.

    ``judge`` is asked after each step of each trial, so it should cost no more
    than a look at each curve. Its answer is a function of its arguments alone.
    A built-in pruner costs O(log(others)), plus O(steps) of the judged trial itself.
    """

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        """Decide about one trial.

        Args:
            curve: The trial's own, with the value at ``step``; without one
                there is nothing to judge, and the trial goes on.
            step: The step that it has just reported, counted from 0.
            others: All other trials of the search that have reported something, running or
                not, pruned ones too.
            minimize: Whether a smaller objective is better.

        Returns:
            ``None`` to go on; or a sentence that says, with numbers, why the trial stops.
        """
        ...


def badness(value: float, *, minimize: bool) -> float:
    """Return a number that is larger the worse a value is; NaN is the worst of all."""
    if math.isnan(value):
        return math.inf
    return value if minimize else -value
