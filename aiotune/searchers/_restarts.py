"""When a search has converged, and what the model then learns from.

A model that has found the bottom of one valley sends trial after trial there: of the rest of
the space it only knows that it is worse where anybody looked. So a search that has
stopped improving begins anew, with a design of its own and without the trials before,
which are what drew it into that valley (as TuRBO restarts a trust region that has become
too small: Eriksson et al., Scalable Global Optimization via Local Bayesian
Optimization, 2019, section 2). Every fourth trial still goes where all trials together
point, so the best that is known is improved as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aiotune.searchers._targets import Evidence

__all__ = ("since_restart",)

_FIRST_TRIALS = 40
"""Trials that the first beginning is given at least: within so many, one is better finished than two begun."""
_LATER_TRIALS = 20
"""Trials that each of the others is given, and the design and the patience at that."""
_SCALE_TRIALS = 20
"""Trials that say how much the losses differ."""
_LEAST_PATIENCE = 10
_PATIENCE = 2
"""Trials without an improvement after which a search has converged, for each hyperparameter."""
_IMPROVEMENT = 1e-3
"""What counts as one: a part of the distance from the best to the median of the first trials."""
_POLISH = 4
"""After the first restart, one of so many trials follows the model of all of them."""


def since_restart(evidence: Evidence, index: int, axes: int, design: int) -> Evidence:
    """Return what the trial with this index is chosen from.

    Args:
        evidence: Of the whole search.
        index: Of the trial that is to be chosen.
        axes: The number of hyperparameters.
        design: How many trials of a beginning fill the space before the model is asked.

    Returns:
        The same before the first restart, and where the best that is known is to be improved;
        otherwise what was learned since the last one. Where trials fail and
        what is refused is never forgotten.
    """
    start = _start(evidence, axes, design)
    if not _belongs(index, start) or start == 0:
        return evidence
    kept = [
        row
        for row, tried in enumerate(evidence.known)
        if _belongs(tried.index, start) or not np.isfinite(evidence.losses[row])
    ]
    return replace(
        evidence,
        known=tuple(evidence.known[row] for row in kept),
        losses=evidence.losses[kept],
        pending=tuple(tried for tried in evidence.pending if _belongs(tried.index, start)),
    )


def _belongs(index: int, start: int) -> bool:
    return index >= start and (start == 0 or index % _POLISH != 0)


def _start(evidence: Evidence, axes: int, design: int) -> int:
    """Return the first index of the current beginning."""
    # What runs was chosen before the latest results were known, and so were as many
    # when a search converged: they are neither held against it nor do they count as new.
    running = len(evidence.pending)
    patience = max(_LEAST_PATIENCE, _PATIENCE * axes) + running
    least = _least_improvement(evidence)
    start, count, improved, best = 0, 0, 0, np.inf
    for tried, loss in zip(evidence.known, evidence.losses, strict=True):
        if not _belongs(tried.index, start):
            continue
        count += 1
        if loss < best - least:
            improved, best = count, loss
        enough = _LATER_TRIALS if start else _FIRST_TRIALS
        if count >= enough and count - max(improved, design) >= patience:
            start, count, improved, best = tried.index + 1 + running, 0, 0, np.inf
    return start


def _least_improvement(evidence: Evidence) -> float:
    first = evidence.losses[np.isfinite(evidence.losses)][:_SCALE_TRIALS]
    if len(first) == 0:
        return 0.0
    # Multiplied first: losses near the largest float must not overflow.
    parts = _IMPROVEMENT * first
    return float(np.median(parts) - parts.min())
