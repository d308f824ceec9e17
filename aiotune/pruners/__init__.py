"""Pruners: which running trials are not worth going on with; pure, like searchers."""

from aiotune.pruners._base import Curve, Pruner
from aiotune.pruners._halving import SuccessiveHalvingPruner
from aiotune.pruners._median import MedianPruner
from aiotune.pruners._patience import PatiencePruner
from aiotune.pruners._threshold import ThresholdPruner

__all__ = (
    "Curve",
    "MedianPruner",
    "PatiencePruner",
    "Pruner",
    "SuccessiveHalvingPruner",
    "ThresholdPruner",
)
