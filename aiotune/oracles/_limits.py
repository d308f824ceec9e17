"""When a search has gone wrong for so long that going on is pointless."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aiotune._printable import printable
from aiotune.errors import SearchAborted
from aiotune.oracles._core import RetryPolicy
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = ("check_consecutive", "narrow")

_MATTERS = 0.25
"""From this agreement on a hyperparameter is named as one that makes models large."""
_LOOKED_AT = 200


def check_consecutive(state: ProjectState, policy: RetryPolicy, trial: Trial) -> None:
    """Refuse to go on when nothing but failures, or nothing but rejections, came for too long.

    Args:
        state: The project's, with the trial's end.
        policy: Holds the limits.
        trial: The one that has just ended.

    Raises:
        SearchAborted: A limit is reached.
    """
    limit = policy.max_consecutive
    failed = trial.status is TrialStatus.FAILED
    if failed and limit is not None and state.consecutive_failures >= limit:
        aborted = SearchAborted(
            f"Number of consecutive failures exceeded the limit of {limit}. The last one, of trial "
            f"{trial.trial_id}: {_last_words(trial)}",
            hint="Mend the cause and run the program again; or raise max_consecutive_failed_trials, where "
            "failures are expected.",
            limit=limit,
        )
        if trial.failure is not None and trial.failure.traceback:
            aborted.add_note(f"In the worker:\n{trial.failure.traceback}")
        raise aborted
    rejected = trial.status is TrialStatus.REJECTED
    if rejected and state.consecutive_rejections >= policy.max_rejected:
        raise SearchAborted(
            f"Each of the last {policy.max_rejected} configurations was rejected. {narrow(state)} The "
            f"last one: {_last_words(trial)}",
            limit=policy.max_rejected,
        )


def _last_words(trial: Trial) -> str:
    said = trial.failure.summary() if trial.failure is not None else trial.message or "no message"
    # A sentence of ours ends in a point; what a user's exception says, seldom.
    return f"{printable(said, 500).rstrip('.')}."


def narrow(state: ProjectState) -> str:
    """Say which hyperparameters make models large: those whose values rise with their size."""
    recent = list(state.trials.values())[-_LOOKED_AT:]
    weighed = [t for t in recent if t.weighed and t.weighed.size is not None]
    sizes = [_bytes_of(t) for t in weighed]
    strength = {}
    for entry in state.space.space:
        values = [t.values.get(entry.name) for t in weighed]
        if all(isinstance(v, (int, float)) for v in values) and len(set(values)) > 1:
            strength[entry.name] = _agreement([float(v) for v in values if v is not None], sizes)
    names = sorted((n for n, s in strength.items() if s > _MATTERS), key=lambda n: -strength[n])
    if not names:
        return "Narrow the search space, or raise max_model_size if that is the limit."
    listed = ", ".join(map(repr, names[:3]))
    return f"Models grow most with {listed}: lower the upper end there."


def _bytes_of(trial: Trial) -> float:
    size = trial.weighed.size if trial.weighed is not None else None
    return float(size.weight_bytes + size.activation_bytes) if size is not None else 0.0


def _agreement(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Kendall's tau: the share of pairs in the same order less that of pairs in the other."""
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    signs = [math.copysign(1, (a[i] - a[j]) * (b[i] - b[j])) for i, j in pairs if a[i] != a[j]]
    return sum(signs) / len(pairs) if pairs else 0.0
