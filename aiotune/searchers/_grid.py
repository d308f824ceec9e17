"""Grid search: every combination once, the last declared hyperparameter fastest.

A combination over the whole space is *covered* by a trial whose values are a
part of it: what that trial did not ask for cannot matter to it. The next
proposal is the first combination that no trial covers. So nothing needs to be
remembered but the trials, many can run at once, and a hyperparameter that is
discovered while a trial runs adds just the combinations that it makes new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiotune._values import Value, Values
from aiotune.hyperparameters import HyperParameter
from aiotune.searchers._base import Exhausted, History, Proposal, SearcherDecision, Wait

__all__ = ("GridSearcher",)

_Key = tuple[tuple[str, ...], tuple[Value, ...]]


class GridSearcher:
    """Tries each hyperparameter's default first, then its other values in order.

    Values of a hyperparameter are those of ``HyperParameter.values``: all of a
    stepped or listed one, about ten samples of a range without a step.
    """

    def __init__(self) -> None:
        self._entries: tuple[HyperParameter, ...] = ()
        self._cover = _Cover(())
        self._walk = _combinations(())

    @property
    def is_heavy(self) -> bool:
        """A proposal costs microseconds; a restart of the walk, milliseconds."""
        return False

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        entries = tuple(history.space.space)
        if entries != self._entries:
            self._entries, self._cover = entries, _Cover(hp.name for hp in entries)
            self._walk = _combinations(entries)
        if self._cover.update(history):
            # A trial used more than it was proposed with, so it covers less:
            # combinations that the walk has passed by may be open.
            self._walk = _combinations(entries)
        for values in self._walk:
            if not self._cover.covers(values):
                return Proposal(values)
        return Wait() if history.unfinished else Exhausted()


class _Cover:
    """The trials' values, grouped by which hyperparameters of the space they have."""

    def __init__(self, names: Iterator[str] | tuple[str, ...]) -> None:
        self._names = frozenset(names)
        self._groups: dict[tuple[str, ...], dict[tuple[Value, ...], int]] = {}
        self._keys: list[_Key] = []
        self._open: set[int] = set()

    def update(self, history: History) -> bool:
        """Take in new and ended trials; return whether one covers less than before."""
        changed = False
        tried = history.tried
        for index in range(len(self._keys), len(tried)):
            self._keys.append(self._key(tried[index].values))
            self._count(self._keys[index], 1)
            self._open.add(index)
        # Values change once, at the end of a trial.
        for index in [i for i in self._open if i not in history.unfinished]:
            self._open.remove(index)
            key = self._key(tried[index].values)
            if key != self._keys[index]:
                changed = True
                self._count(self._keys[index], -1)
                self._count(key, 1)
                self._keys[index] = key
        return changed

    def _key(self, values: Values) -> _Key:
        # A name outside the space (new entries that are not tuned, control
        # values) is in no combination, so it must not keep a trial from covering one.
        names = tuple(sorted(self._names & values.keys()))
        return names, tuple(values[name] for name in names)

    def _count(self, key: _Key, change: int) -> None:
        names, chosen = key
        group = self._groups.setdefault(names, {})
        group[chosen] = group.get(chosen, 0) + change
        if not group[chosen]:
            del group[chosen]
        if not group:
            del self._groups[names]

    def covers(self, values: dict[str, Value]) -> bool:
        """Whether some trial's values are a part of these."""
        return any(tuple(map(values.get, names)) in group for names, group in self._groups.items())


def _combinations(entries: Sequence[HyperParameter]) -> Iterator[dict[str, Value]]:
    """Yield every combination of active hyperparameters, defaults first, the last one fastest."""

    def walk(position: int, values: dict[str, Value]) -> Iterator[dict[str, Value]]:
        while position < len(entries):
            hp = entries[position]
            if hp.name not in values and all(c.is_active(values) for c in hp.conditions):
                break
            position += 1
        if position == len(entries):
            yield values
            return
        for value in _default_first(hp):
            yield from walk(position + 1, {**values, hp.name: value})

    return walk(0, {})


def _default_first(hp: HyperParameter) -> Iterator[Value]:
    yield hp.default
    yield from (value for value in hp.each_value() if value != hp.default)
