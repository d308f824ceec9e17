"""Which trials a model learns from, and what it is told of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiotune._values import Values
from aiotune.searchers._base import History, Tried
from aiotune.searchers._encoding import Floats, Indices
from aiotune.status import TrialStatus

__all__ = (
    "MOST_ROWS",
    "Evidence",
    "burdens",
    "evidence_of",
    "representative",
    "standardised",
)

MOST_ROWS = 1000
"""Trials that a model learns from, at most."""
_FAR = 19.0
"""Distances from the best to the median from which losses no longer differ."""
_GAP = 1.02
"""Ratio of the least memory refused and the most that ran, below which the limit is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known at a moment, by index of the trials.

    Attributes:
        known: Trials with a loss: those that completed, and those that failed.
        losses: Of each of them; NaN for one that failed.
        pending: Trials that have not ended.
        refused: Trials that fit no device.
        let_run: Trials that ended otherwise. They are more than the known ones after a restart.
    """

    known: tuple[Tried, ...]
    losses: Floats
    pending: tuple[Tried, ...]
    refused: tuple[Tried, ...]
    let_run: tuple[Tried, ...]

    @property
    def completed(self) -> int:
        """The number of trials that gave a loss."""
        return int(np.isfinite(self.losses).sum())


def evidence_of(history: History) -> Evidence:
    """Sort the trials of a history; a smaller loss is better, whatever the objective."""
    unfinished = set(history.unfinished)
    ended = [tried for tried in history.tried if tried.index not in unfinished]
    known = [tried for tried in ended if tried.status is not TrialStatus.REJECTED]
    sign = 1.0 if history.minimize else -1.0
    return Evidence(
        tuple(known),
        np.array([_loss(tried, sign) for tried in known], dtype=float),
        tuple(history.tried[index] for index in sorted(unfinished)),
        tuple(tried for tried in ended if tried.status is TrialStatus.REJECTED),
        tuple(known),
    )


def _loss(tried: Tried, sign: float) -> float:
    usable = tried.status is TrialStatus.COMPLETED and tried.score is not None
    if not usable or tried.score is None or not math.isfinite(tried.score):
        return math.nan
    return sign * tried.score


def standardised(losses: Floats) -> Floats:
    """Return targets with mean 0 and variance 1, in the order of the losses.

    What is worse than the median is compressed, logarithmically, in units of
    the distance from the best to the median, and cut off at 19 of them: a diverged
    training must not flatten the differences of good ones. What is better stays in
    proportion.
    A failed trial (NaN) counts as the worst that completed.
    """
    good = losses[np.isfinite(losses)]
    if len(good) == 0:
        return np.zeros(len(losses))
    filled = np.where(np.isfinite(losses), losses, good.max())
    middle = float(np.median(good))
    # Divided before subtracting, so that losses near the largest float do not overflow.
    unit = middle - float(good.min()) or float(good.max()) - middle
    if not math.isfinite(unit) or unit <= 0.0:
        return _scaled(_ranks(filled))
    off = (filled - middle) / unit
    return _scaled(np.where(off > 0.0, np.log1p(np.clip(off, 0.0, _FAR)), off))


def _ranks(losses: Floats) -> Floats:
    _, ranks = np.unique(losses, return_inverse=True)
    return ranks.astype(float)


def _scaled(values: Floats) -> Floats:
    spread = float(values.std())
    centred: Floats = values - values.mean()
    return centred / spread if spread > 0.0 else centred


def representative(losses: Floats, most: int) -> Indices:
    """Return which rows to keep where there are too many, ascending.

    Two fifths are the best, one fifth the most recent, and the rest is spread
    evenly over the others, oldest to newest.
    """
    count = len(losses)
    if count <= most:
        return np.arange(count)
    order = np.argsort(np.where(np.isfinite(losses), losses, np.inf), kind="stable")
    keep = set(order[: 2 * most // 5].tolist())
    keep.update(range(count - most // 5, count))
    others = np.array([row for row in range(count) if row not in keep])
    spread = np.linspace(0, len(others) - 1, most - len(keep)).round().astype(int)
    keep.update(others[np.unique(spread)].tolist())
    return np.array(sorted(keep))


def _limit(least: int, most: int) -> float:
    """Return where memory ends: between the least refused and the most that was let run."""
    if least > _GAP * most > 0:
        return math.sqrt(least * most)
    # A gap of 2 % is not worth another refusal. Where the two overlap, since
    # devices or predictions changed, the refusal is believed.
    return float(most) if 0 < most < least else least / _GAP


def burdens(evidence: Evidence) -> tuple[Sequence[Values], Floats] | None:
    """Return what made configurations be refused, of those where it is known.

    If the memory of each refused trial is known: the logarithm of the memory,
    less the limit's, which lies between the most that was let run and the least
    that was refused. Otherwise 1 for refused ones and -1 for others.

    Returns:
        Configurations and their burden, above 0 where they would be refused;
        ``None`` if none was.
    """
    if not evidence.refused:
        return None
    refused = [tried.memory for tried in evidence.refused if tried.memory]
    if len(refused) < len(evidence.refused):
        labelled = [(t.values, 1.0) for t in evidence.refused]
        labelled += [(t.values, -1.0) for t in evidence.let_run]
    else:
        run = [t.memory for t in evidence.let_run if t.memory]
        least, most = min(refused), max(run, default=0)
        limit = _limit(least, most)
        weighed = [t for t in (*evidence.let_run, *evidence.refused) if t.memory]
        labelled = [(t.values, math.log((t.memory or limit) / limit)) for t in weighed]
    values, numbers = zip(*labelled, strict=True)
    return values, np.array(numbers)
