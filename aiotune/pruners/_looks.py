"""Which pruners look at the curves of other trials one by one."""

from __future__ import annotations

from aiotune.pruners._base import Pruner
from aiotune.pruners._halving import SuccessiveHalvingPruner
from aiotune.pruners._median import MedianPruner
from aiotune.pruners._patience import PatiencePruner
from aiotune.pruners._threshold import ThresholdPruner

__all__ = ("looks_at_curves",)

_NEEDS_NONE = (MedianPruner, SuccessiveHalvingPruner, ThresholdPruner)


def looks_at_curves(pruner: Pruner) -> bool:
    """Whether a pruner may go through the other trials; one of the user's own is taken to do so."""
    if type(pruner) is PatiencePruner:
        return pruner.wrapped is not None and looks_at_curves(pruner.wrapped)
    return type(pruner) not in _NEEDS_NONE
