"""Stop what is worse than half of the others were at the same step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiotune.pruners._arguments import check_whole
from aiotune.pruners._base import Curve, badness
from aiotune.pruners._peers import standing

__all__ = ("MedianPruner",)


@dataclass(frozen=True, slots=True)
class MedianPruner:
    """Stops a trial whose best value so far is worse than the median of the others at this step.

    The median stopping rule of Golovin et al., "Google Vizier: A Service for
    Black-Box Optimization" (2017), section 3.2.1, with the others' values at the step in place of
    their running averages, so that a judgement costs one look at each curve.
    The trial itself is given its best value up to the step, so that a single
    noisy epoch does not end it; but a NaN counts as the worst value there is, for
    the trial as for the others.

    Running trials are evidence as well as ended ones: what a trial reported at
    a step does not change later.

    Args:
        min_trials: How many others must have reported at a step before anything is judged there.
        warmup_steps: How many steps at the beginning of each trial are not judged.
        interval: Judge every so many steps, from the first one after the warm-up.

    Raises:
        ConfigurationError: ``min_trials`` or ``interval`` is no whole number >= 1,
            or ``warmup_steps`` none >= 0.
    """

    min_trials: int = 5
    warmup_steps: int = 0
    interval: int = 1

    def __post_init__(self) -> None:
        check_whole(self, "min_trials", self.min_trials, least=1)
        check_whole(self, "warmup_steps", self.warmup_steps, least=0)
        check_whole(self, "interval", self.interval, least=1)

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        """Decide about one trial; see :class:`Pruner`."""
        since = step - self.warmup_steps
        if since < 0 or since % self.interval or step not in curve.values:
            return None
        own = _best_until(curve, step, minimize=minimize)
        bad = badness(own, minimize=minimize)
        # Of two values in the middle the worse one counts: their mean would be
        # NaN between infinities, and in doubt a trial goes on.
        stands = standing(bad, step, others, minimize=minimize)
        median = stands.median
        if stands.count < self.min_trials or bad <= median:
            return None
        told = (
            f"Its objective is NaN at step {step}, which"
            if math.isnan(own)
            else f"Its best value of the objective up to step {step}, {own:.6g},"
        )
        return (
            f"{told} is worse than the median {median if minimize else -median:.6g} of the {stands.count} "
            "other trials that reported there."
        )


def _best_until(curve: Curve, step: int, *, minimize: bool) -> float:
    if math.isnan(curve.values[step]):
        return math.nan  # training has diverged: what was good before is of no use
    values = (value for reported, value in curve.values.items() if reported <= step)
    return min(values, key=lambda value: badness(value, minimize=minimize))
