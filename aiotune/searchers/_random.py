"""Random search: independent draws, no configuration twice."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aiotune._values import Value
from aiotune.hyperparameters import HyperParameter, Space, draw_values
from aiotune.searchers._base import Exhausted, History, Proposal, SearcherDecision, Wait
from aiotune.status import TrialStatus

__all__ = ("RandomSearcher",)

_DRAWS = 21
"""How often a configuration that was tried already is drawn again."""
_COUNTABLE = 100_000
"""Largest finite space that is enumerated when draws keep colliding."""


class RandomSearcher:
    """Draws each hyperparameter independently and uniformly in its scale.

    Trial ``index`` gets the values that (seed, index) give, whatever has run
    before. A configuration that is taken is drawn again from the next stream;
    when that fails too often and the space is small, one of those that are
    left is picked, so a finite space is searched to its last configuration.
    """

    is_heavy = False

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        entries = history.space.space
        if not entries:
            return self._of_nothing(history)
        for stream in range(_DRAWS):
            values = draw_values(entries, seed=history.seed, index=index, stream=stream)
            if not history.contains(values):
                return Proposal(values, stream)
        left = _untried(history, entries)
        if left:
            picked = random.Random(f"{history.seed}/{index}").choice(left)  # noqa: S311 - reproducible
            return Proposal(picked, _DRAWS)
        return Wait() if history.unfinished else Exhausted()

    def _of_nothing(self, history: History) -> SearcherDecision:
        """Propose while the space is empty: each trial discovers, and draws, its own values."""
        if not history.tried or history.unfinished:
            # Side by side: what they ask for first is drawn from their own streams.
            return Proposal({}, 0)
        if any(t.status is TrialStatus.COMPLETED for t in history.tried):
            return Exhausted()  # a completed trial asked for nothing: there is one configuration
        return Proposal({}, 0)


def _untried(history: History, entries: Sequence[HyperParameter]) -> list[dict[str, Value]]:
    space = Space.of(entries)
    count = space.combinations
    if count is None or count > _COUNTABLE:
        return []
    return [values for values in space.configurations() if not history.contains(values)]
