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


class GridSearcher:
    """Enumerates the grid; see the module's text for how."""

    is_heavy = False

    def __init__(self) -> None:
        self._walk: Iterator[dict[str, Value]] | None = None
        self._entries = -1
        self._cover = _Cover()

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        entries = history.space.space
        if self._cover.update(history) or self._walk is None or self._entries != len(entries):
            # A trial turned out to have used more than it was proposed with,
            # or the space grew: combinations passed by may be open again.
            self._walk = _combinations(tuple(entries))
        self._entries = len(entries)
        for values in self._walk:
            if not self._cover.covers(values):
                return Proposal(values)
        return Wait() if history.unfinished else Exhausted()


class _Cover:
    """The trials' values, grouped by which hyperparameters they used."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], dict[tuple[Value, ...], int]] = {}
        self._keys: list[tuple[tuple[str, ...], tuple[Value, ...]]] = []
        self._open: set[int] = set()

    def update(self, history: History) -> bool:
        """Take in new and changed trials; return whether a known one changed."""
        changed = False
        tried = history.tried
        for index in sorted(self._open):
            key = _key(tried[index].values)
            if key != self._keys[index]:
                changed = True
                self._remove(self._keys[index])
                self._add(key)
                self._keys[index] = key
        for index in range(len(self._keys), len(tried)):
            key = _key(tried[index].values)
            self._keys.append(key)
            self._add(key)
            self._open.add(index)
        self._open &= set(history.unfinished)
        return changed

    def _add(self, key: tuple[tuple[str, ...], tuple[Value, ...]]) -> None:
        group = self._groups.setdefault(key[0], {})
        group[key[1]] = group.get(key[1], 0) + 1

    def _remove(self, key: tuple[tuple[str, ...], tuple[Value, ...]]) -> None:
        group = self._groups[key[0]]
        group[key[1]] -= 1
        if not group[key[1]]:
            del group[key[1]]
        if not group:
            del self._groups[key[0]]

    def covers(self, values: dict[str, Value]) -> bool:
        """Whether some trial's values are a part of these."""
        return any(
            tuple(values.get(name) for name in names) in group
            for names, group in self._groups.items()
        )


def _key(values: Values) -> tuple[tuple[str, ...], tuple[Value, ...]]:
    items = sorted(values.items())
    return tuple(name for name, _ in items), tuple(value for _, value in items)


def _combinations(entries: Sequence[HyperParameter]) -> Iterator[dict[str, Value]]:
    """Yield every combination of active hyperparameters, defaults first, the last one fastest."""
    orders = [tuple(dict.fromkeys([hp.default, *hp.values])) for hp in entries]

    def walk(position: int, values: dict[str, Value]) -> Iterator[dict[str, Value]]:
        while position < len(entries):
            hp = entries[position]
            if hp.name not in values and all(c.is_active(values) for c in hp.conditions):
                break
            position += 1
        if position == len(entries):
            yield values
            return
        for value in orders[position]:
            yield from walk(position + 1, {**values, entries[position].name: value})

    return walk(0, {})
