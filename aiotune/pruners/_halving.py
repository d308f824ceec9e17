"""Asynchronous successive halving: at each rung, only the best part goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiotune.pruners._arguments import check_whole
from aiotune.pruners._base import Curve, badness
from aiotune.pruners._peers import standing

__all__ = ("SuccessiveHalvingPruner",)


@dataclass(frozen=True, slots=True)
class SuccessiveHalvingPruner:
    """Stops a trial at a rung unless it is among the best ``1 / factor`` that reached it so far.

    ASHA of Li et al., "A System for Massively Parallel Hyperparameter Tuning"
    (2018, arXiv 1810.05934), in the form that stops a trial instead of pausing it: nobody
    waits for a rung to fill. Rungs lie at ``min_resource * factor ** (min_early_stopping_rate + k)``
    steps for k = 0, 1, ...

    While fewer than ``factor`` trials have reached a rung, "the best ``1 / factor``"
    is nobody; such trials go on, for a stop cannot be taken back. A trial that does not
    report at a rung exactly is judged at its first report after it, against those
    that reported at the same step. A NaN counts as the worst value there is; trials that
    are equally good share the better rank.

    Args:
        min_resource: Steps (epochs) that every trial is given before the first rung.
        factor: One in this many goes on from each rung.
        min_early_stopping_rate: How many of the first rungs are left out: the
            larger, the later the first stops.

    Raises:
        ConfigurationError: ``min_resource`` is no whole number >= 1, ``factor``
            none >= 2, or ``min_early_stopping_rate`` none from 0 to 60.
    """

    min_resource: int = 1
    factor: int = 3
    min_early_stopping_rate: int = 0

    def __post_init__(self) -> None:
        check_whole(self, "min_resource", self.min_resource, least=1)
        check_whole(self, "factor", self.factor, least=2)
        check_whole(self, "min_early_stopping_rate", self.min_early_stopping_rate, least=0, most=60)

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        """Decide about one trial; see :class:`Pruner`."""
        if step not in curve.values:
            return None
        rung = self._rung_at(curve, step)
        if rung is None:
            return None
        own = badness(curve.values[step], minimize=minimize)
        stands = standing(own, step, others, minimize=minimize)
        reached, rank = stands.count + 1, stands.better + 1
        go_on = reached // self.factor
        if go_on == 0 or rank <= go_on:
            return None
        return (
            f"Its objective of {curve.values[step]:.6g} at step {step} is number {rank} of the {reached} "
            f"trials that reached the rung of {rung} steps, of which the best {go_on} may go on."
        )

    def _rung_at(self, curve: Curve, step: int) -> int | None:
        """Return the rung that this report is the first one on or after, in steps; the highest of several."""
        before = max((s for s in curve.values if s < step), default=-1)
        rung, found = self.min_resource * self.factor**self.min_early_stopping_rate, None
        while rung <= step + 1:  # step 0 is the first one done
            found = rung if rung > before + 1 else None
            rung *= self.factor
        return found
