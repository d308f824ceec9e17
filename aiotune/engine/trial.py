"""Trials and where they stand."""

from aiotune.status import TrialStatus
from aiotune.trial import Trial

__all__ = ("Trial", "TrialStatus")
