"""Stop what has left a range that was given in advance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiotune.errors import ConfigurationError
from aiotune.pruners._arguments import check_number, check_whole
from aiotune.pruners._base import Curve

__all__ = ("ThresholdPruner",)


@dataclass(frozen=True, slots=True)
class ThresholdPruner:
    """Stops a trial whose objective is outside a range, or NaN.

    Needs no other trials; O(1). Without any limit it stops what is NaN only.

    Args:
        lower: Smallest value to go on with; ``None``: no limit.
        upper: Largest value to go on with; ``None``: no limit.
        warmup_steps: How many steps at the beginning of each trial are not judged.

    Raises:
        ConfigurationError: A limit is no number, ``lower`` is above ``upper``, or
            ``warmup_steps`` is no whole number >= 0.
    """

    lower: float | None = None
    upper: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        check_whole(self, "warmup_steps", self.warmup_steps, least=0)
        for name, limit in (("lower", self.lower), ("upper", self.upper)):
            if limit is not None:
                check_number(self, name, limit)
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ConfigurationError(
                f"ThresholdPruner would stop every trial: its lower limit of {self.lower} is above its "
                f"upper limit of {self.upper}. Exchange them."
            )

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        """Decide about one trial; see :class:`Pruner`."""
        value = curve.values.get(step)
        if value is None or step < self.warmup_steps:
            return None
        if math.isnan(value):
            return f"Its objective is NaN at step {step}; training has diverged."
        if self.lower is not None and value < self.lower:
            limit = f"below the lower limit of {self.lower:.6g}"
        elif self.upper is not None and value > self.upper:
            limit = f"above the upper limit of {self.upper:.6g}"
        else:
            return None
        return f"Its objective of {value:.6g} at step {step} is {limit}."
