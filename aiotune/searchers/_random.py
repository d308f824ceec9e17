"""Random search: independent draws, no configuration twice."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from aiotune._values import Value
from aiotune.hyperparameters import HyperParameter, Space, draw_values
from aiotune.searchers._base import Exhausted, History, Proposal, SearcherDecision, Wait
from aiotune.status import TrialStatus

__all__ = ("RandomSearcher",)

_DRAWS = 21
"""How often a trial is drawn until its configuration is a new one."""
_COUNTABLE = 100_000
"""Largest finite space that is enumerated when draws keep colliding."""
_LIGHT = 1_000
"""Largest space whose enumeration takes about a millisecond."""
_MORE_DRAWS = 4_000
"""How often a trial is drawn from a space that cannot be enumerated, before it counts as used up."""


class RandomSearcher:
    """Draws each hyperparameter independently and uniformly in its scale.

    Trial ``index`` gets the values that (seed, index) give, whatever has run
    before. A configuration that is taken is drawn again from the next stream;
    when that fails too often and the space is finite and not too large, one of
    those that are left is picked, so it is searched to its last configuration. Any other
    space is drawn from far more often: what is left of it may lie in a branch that few draws enter.
    """

    def __init__(self) -> None:
        self._left = _Left(())

    @property
    def is_heavy(self) -> bool:
        """Whether a proposal may have to look through a large space for what is left."""
        return self._left.is_large

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        entries = tuple(history.space.space)
        if not entries:
            return _of_nothing(history)
        found = _drawn(entries, history, index, range(_DRAWS))
        if (found is None or found.stream) and self._left.entries != entries:
            self._left = _Left(entries)  # the space fills up: count it, now or soon
        if found is None:
            found = self._hard_to_find(entries, history, index)
        if found is not None:
            return found
        # What still runs may discover hyperparameters, so that more is left.
        return Wait() if history.unfinished else Exhausted()

    def _hard_to_find(
        self, entries: tuple[HyperParameter, ...], history: History, index: int
    ) -> Proposal | None:
        """Return an untried configuration after many draws that were taken; ``None`` if none is left."""
        if not self._left.is_listed:
            return _drawn(entries, history, index, range(_DRAWS + 1, _DRAWS + _MORE_DRAWS))
        picked = self._left.pick(history, index)
        return None if picked is None else Proposal(picked, _DRAWS)


def _drawn(
    entries: tuple[HyperParameter, ...], history: History, index: int, streams: range
) -> Proposal | None:
    """Return the first draw that is not taken, if there is one."""
    for stream in streams:
        values = draw_values(entries, seed=history.seed, index=index, stream=stream)
        if not history.contains(values):
            return Proposal(values, stream)
    return None


def _of_nothing(history: History) -> SearcherDecision:
    """Propose while the space is empty: each trial discovers, and draws, its own values."""
    done = any(trial.status is TrialStatus.COMPLETED for trial in history.tried)
    if not done:
        return Proposal({}, 0)
    # A whole run asked for nothing: there is one configuration, and it was
    # tried, unless one that still runs asks for more.
    return Wait() if history.unfinished else Exhausted()


class _Left:
    """The configurations of a finite space that are left, found without listing them each time."""

    def __init__(self, entries: Sequence[HyperParameter]) -> None:
        self.entries = tuple(entries)
        space = Space.of(entries)
        count = space.combinations if entries else 0
        self._space = space if count is not None and count <= _COUNTABLE else None
        self._count = count or 0
        self._all: list[dict[str, Value]] = []
        self._none_left = False

    @property
    def is_listed(self) -> bool:
        """Whether it is finite, and small enough to be looked through."""
        return self._space is not None

    @property
    def is_large(self) -> bool:
        """Whether looking for what is left takes more than a millisecond."""
        return self._space is None or self._count > _LIGHT

    def pick(self, history: History, index: int) -> dict[str, Value] | None:
        """Return an untried configuration: the first one after a place drawn for this trial."""
        if self._space is None or self._none_left:
            return None
        self._all = self._all or list(self._space.configurations())
        message = b"%d/%d/left" % (history.seed, index)
        start = int.from_bytes(blake2b(message, digest_size=8).digest(), "little")
        for offset in range(len(self._all)):
            values = self._all[(start + offset) % len(self._all)]
            if not history.contains(values):
                return dict(values)
        # What was tried stays tried, so this is for good.
        self._none_left = True
        return None
