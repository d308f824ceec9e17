"""A moment of a search, as the displays draw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ("RunningTrial", "Snapshot", "clock", "short_clock")


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """One running attempt.

    Attributes:
        trial_id: Which trial.
        attempt: Which attempt of it, from 1.
        device: Where it runs.
        elapsed: Seconds since it began.
        step: Last reported epoch (from 0), or ``None``.
        metrics: Last reported metrics.
        values: Its hyperparameters.
    """

    trial_id: str
    attempt: int
    device: str
    elapsed: float
    step: int | None
    metrics: Mapping[str, float]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a search.

    Attributes:
        running: What runs.
        ended: How many trials have ended.
        failed: How many of these failed or were rejected.
        budget: How many there will be: ``max_trials``, and those rejected; or ``None``.
        objective: Name of the objective.
        best_score: The best score so far, or ``None``.
        best_trial: Its trial.
        elapsed: Seconds since the search began.
    """

    running: tuple[RunningTrial, ...]
    ended: int
    failed: int
    budget: int | None
    objective: str
    best_score: float | None
    best_trial: str | None
    elapsed: float


def clock(seconds: float) -> str:
    """Return a duration as ``00h 01m 05s``, with days where there are any."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    text = f"{h:02d}h {m:02d}m {s:02d}s"
    return f"{days}d {text}" if days else text


def short_clock(seconds: float) -> str:
    """Return a duration as ``45 s``, ``1:05``, ``2:01:05`` or ``3d 02h``."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d {h:02d}h"
    if hours:
        return f"{h}:{m:02d}:{s:02d}"
    return f"{m}:{s:02d}" if minutes else f"{s} s"
