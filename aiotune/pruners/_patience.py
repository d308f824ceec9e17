"""Stop what has not become better for a while."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiotune._printable import shown
from aiotune.errors import ConfigurationError
from aiotune.pruners._arguments import check_number, check_whole
from aiotune.pruners._base import Curve, Pruner, badness

__all__ = ("PatiencePruner",)


@dataclass(frozen=True, slots=True)
class PatiencePruner:
    """Stops a trial that has not improved on its own best for so many reports; or lets another decide.

    Needs no other trials, unless the wrapped pruner does; O(steps of the trial).

    Args:
        patience: How many reports in a row without an improvement stop a trial; steps
            at which the objective was not reported do not count.
        min_delta: What counts as an improvement: more than this much better.
        wrapped: Asked about a trial that ran out of patience, and decides; so it
            cannot stop one that still improves. ``None``: such a trial stops.

    Raises:
        ConfigurationError: ``patience`` is no whole number >= 1, ``min_delta`` no
            number >= 0, or ``wrapped`` no pruner.
    """

    patience: int
    min_delta: float = 0.0
    wrapped: Pruner | None = None

    def __post_init__(self) -> None:
        check_whole(self, "patience", self.patience, least=1)
        check_number(self, "min_delta", self.min_delta)
        if self.min_delta < 0:
            raise ConfigurationError(
                f"min_delta of PatiencePruner must not be negative, but is {shown(self.min_delta)}."
            )
        if isinstance(self.wrapped, type):
            raise ConfigurationError(
                f"wrapped of PatiencePruner must be a pruner or None, but is the class "
                f"{self.wrapped.__name__}. Write {self.wrapped.__name__}()."
            )
        if self.wrapped is not None and not callable(getattr(self.wrapped, "judge", None)):
            raise ConfigurationError(
                f"wrapped of PatiencePruner must be a pruner or None, but is {shown(self.wrapped)}, which "
                "has no method judge()."
            )

    def judge(
        self, curve: Curve, step: int, others: Sequence[Curve], *, minimize: bool
    ) -> str | None:
        """Decide about one trial; see :class:`Pruner`."""
        if step not in curve.values:
            return None
        best, at, waited = self._stand(curve, step, minimize=minimize)
        if waited < self.patience:
            return None
        if self.wrapped is not None:
            return self.wrapped.judge(curve, step, others, minimize=minimize)
        if at is None:
            return (
                f"Its objective was not a number in any of its {waited} reports up to step {step}."
            )
        more = f" by more than {self.min_delta:.6g}" if self.min_delta else ""
        return (
            f"Its objective has not improved{more} on {best:.6g}, reported at step {at}, in the {waited} "
            f"reports up to step {step}."
        )

    def _stand(self, curve: Curve, step: int, *, minimize: bool) -> tuple[float, int | None, int]:
        """Return the last improvement, its step, and the number of reports since."""
        best, at, waited = math.inf, None, 0
        for reported in sorted(curve.values):
            if reported > step:
                break
            bad = badness(curve.values[reported], minimize=minimize)
            if best - bad > self.min_delta:
                best, at, waited = bad, reported, 0
            else:
                waited += 1
        return (best if minimize else -best), at, waited
