"""Bayesian optimisation: a model of the objective decides what to try next.

Nothing heavy is imported until the first proposal.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from aiotune._printable import shown
from aiotune.errors import ConfigurationError
from aiotune.searchers._base import History, Proposal, SearcherDecision
from aiotune.searchers._blas import on_one_thread
from aiotune.searchers._random import RandomSearcher

if TYPE_CHECKING:
    from aiotune.searchers._surrogate import Surrogate
    from aiotune.searchers._targets import Evidence

__all__ = ("BayesianSearcher",)

_NEUTRAL_BETA = 2.6


class BayesianSearcher:
    """Models the objective by a Gaussian process and tries what promises most.

    The first trials fill the space evenly. Then a Gaussian process with one
    length scale for each hyperparameter, and a parabola, is fitted to the trials that
    ended, and the configuration with the greatest expected improvement is proposed.
    Trials that still run count as if they had ended as the model expects, so that
    trials side by side differ. A trial that failed counts as bad as the worst that completed.
    Once trials were refused for lack of memory, proposals avoid what would be refused as
    well. A search that has converged begins anew, while every fourth trial goes on with
    all that is known. No configuration is proposed twice, and a finite space is searched
    to its last one.

    The answer follows from the history, the index and the arguments alone.

    Args:
        num_initial_points: How many trials fill the space before the model is
            asked; default, also for 0, one more than there are hyperparameters that vary, but
            at least 4 and at most 10. Trials that run count. So many are tried after
            a new beginning, too.
        alpha: The variance of noise that is expected of the scores, where their
            own is 1. The model learns how much there is, but never assumes less than a
            ten-thousandth of ``alpha``: more makes it smoother.
        beta: How much uncertainty attracts. At 2.6 what is maximised is the expected
            improvement, in which the model's standard deviation counts 0.6 times while
            nothing else runs; otherwise the deviation counts ``beta / 2.6`` times as
            much. Less looks closer around what is good already.

    Raises:
        ConfigurationError: An argument is impossible.
    """

    is_heavy = True

    def __init__(
        self, num_initial_points: int | None = None, alpha: float = 1e-4, beta: float = 2.6
    ) -> None:
        self.num_initial_points = _checked_count(num_initial_points)
        self.alpha = _checked("alpha", alpha, "it is a variance")
        self.beta = _checked("beta", beta, "it weighs a standard deviation")
        self._surrogate: Surrogate | None = None

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        import numpy as np

        # What is far away in the model underflows to 0, and scores near the largest float overflow.
        # Both are meant; a program that called np.seterr(all="raise") would get them as exceptions.
        with np.errstate(all="ignore"):
            return self._proposed(history, index)

    def _proposed(self, history: History, index: int) -> SearcherDecision:
        from aiotune.searchers._restarts import since_restart
        from aiotune.searchers._targets import evidence_of

        surrogate = self._model_of(history)
        if surrogate is None:
            return RandomSearcher().propose(history, index)
        axes = surrogate.encoding.width
        design = self.num_initial_points or min(10, max(4, axes + 1))
        evidence = since_restart(evidence_of(history), index, axes, design)
        is_early = _is_early(evidence, design)
        choose = surrogate.initial if is_early else surrogate.best
        with on_one_thread():
            values = choose(history, index, evidence)
        if values is not None:
            return Proposal(values, 0)
        # Random search knows which configurations are left, and when none is.
        return RandomSearcher().propose(history, index)

    def _model_of(self, history: History) -> Surrogate | None:
        """Return the model of the space; ``None`` if nothing in it varies."""
        entries = tuple(history.space.space)
        if self._surrogate is None or self._surrogate.entries != entries:
            if not entries:
                return None
            from aiotune.searchers._surrogate import Surrogate

            width = max(self.beta / _NEUTRAL_BETA, 1e-3)
            self._surrogate = Surrogate(entries, alpha=self.alpha, width=width)
        return self._surrogate if self._surrogate.encoding.width else None


def _is_early(evidence: Evidence, design: int) -> bool:
    if evidence.completed + len(evidence.pending) < design:
        return True
    # With many at once a model of one or two results would decide for all.
    return evidence.completed < min(design, 4)


def _checked_count(count: Any) -> int | None:
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < 0:
        raise ConfigurationError(
            f"`num_initial_points` must be a whole number that is not negative, but is {shown(count)}. "
            "Leave it out to let the search space decide."
        )
    return int(count)


def _checked(name: str, value: Any, why: str) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ConfigurationError(
            f"`{name}` must be a finite number that is not negative, since {why}, but is {shown(value)}."
        )
    return float(value)
