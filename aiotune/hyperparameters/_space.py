"""A search space as algorithms see it: a frozen list and a unit cube."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from aiotune._values import Value
from aiotune.hyperparameters._codec import serialize
from aiotune.hyperparameters._conditions import hold
from aiotune.hyperparameters._kinds import Fixed, HyperParameter

__all__ = ("Space",)

_BELOW_ONE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Space:
    """An immutable search space.

    Attributes:
        entries: The hyperparameters, parents before children.
    """

    entries: tuple[HyperParameter, ...]

    @classmethod
    def of(cls, entries: Iterable[HyperParameter]) -> Space:
        """Freeze entries."""
        return cls(tuple(entries))

    @property
    def axes(self) -> tuple[HyperParameter, ...]:
        """The entries that vary: one coordinate of the unit cube each."""
        return tuple(hp for hp in self.entries if not isinstance(hp, Fixed))

    def to_unit(self, values: Mapping[str, Value]) -> list[float]:
        """Encode a configuration; an inactive hyperparameter stands at its default.

        Returns:
            One number in [0, 1] for each of :attr:`axes`.

        Raises:
            ConfigurationError: A value is not among a hyperparameter's choices.
        """
        return [
            hp.value_to_prob(
                values[hp.name] if hp.name in values and hold(hp.conditions, values) else hp.default
            )
            for hp in self.axes
        ]

    def from_unit(self, point: Iterable[float]) -> dict[str, Value]:
        """Decode a point of the unit cube; inactive hyperparameters are left out.

        Args:
            point: One number for each of :attr:`axes`; one outside [0, 1)
                counts as the nearest within.
        """
        coordinates = iter(point)
        values: dict[str, Value] = {}
        for hp in self.entries:
            prob = 0.5 if isinstance(hp, Fixed) else next(coordinates)
            if hp.name not in values and hold(hp.conditions, values):
                values[hp.name] = hp.prob_to_value(min(max(prob, 0.0), _BELOW_ONE))
        return values

    @property
    def combinations(self) -> int | None:
        """The number of configurations; ``None`` if infinite.

        Exact: an inactive hyperparameter multiplies nothing. It is counted
        without listing configurations, but the values of parents that later
        entries depend on at the same time are listed.
        """
        return _count(self.entries)

    def configurations(self) -> Iterator[dict[str, Value]]:
        """Yield every configuration of a finite space once, the last entry fastest.

        Nothing is yielded if the space is infinite; see :attr:`combinations`.
        """
        if self.combinations is not None:
            yield from _configurations(self.entries, 0, {})

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that equal spaces share, in any process and version."""
        text = json.dumps([serialize(hp) for hp in self.entries], sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()


def _configurations(
    entries: tuple[HyperParameter, ...], start: int, values: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    for position in range(start, len(entries)):
        hp = entries[position]
        if hp.name in values or not hold(hp.conditions, values):
            continue
        domain = hp.domain or ()
        if len(domain) == 1:  # no branch, so that long spaces do not nest deeply
            values = {**values, hp.name: domain[0]}
            continue
        for value in domain:
            yield from _configurations(entries, position + 1, {**values, hp.name: value})
        return
    yield values


_Known = tuple[tuple[str, Value], ...]


def _count(entries: tuple[HyperParameter, ...]) -> int | None:
    """Count configurations, grouped by the values that later entries depend on."""
    counts: dict[_Known, int] = {(): 1}
    for hp, needed in zip(entries, _needed_after(entries), strict=True):
        following: dict[_Known, int] = {}
        for known, number in counts.items():
            values = dict(known)
            branches: list[tuple[dict[str, Value], int]] = [({}, 1)]
            if hp.name not in values and hold(hp.conditions, values):
                if hp.size is None:
                    return None
                branches = _branches(hp, needed.get(hp.name, ()))
            for chosen, times in branches:
                rest = {**values, **chosen}
                key = tuple(sorted((name, rest[name]) for name in rest if name in needed))
                following[key] = following.get(key, 0) + number * times
        counts = following
    return sum(counts.values())


def _branches(hp: HyperParameter, named: Iterable[Value]) -> list[tuple[dict[str, Value], int]]:
    """Return the values that conditions name, one each, and all others as one branch."""
    domain = hp.domain or ()
    special = [value for value in dict.fromkeys(named) if hp.accepts(value)]
    branches = [({hp.name: value}, 1) for value in special]
    other = next((value for value in domain if value not in special), None)
    if other is not None and hp.size is not None:
        branches.append(({hp.name: other}, hp.size - len(special)))
    return branches


def _needed_after(entries: tuple[HyperParameter, ...]) -> list[dict[str, list[Value]]]:
    """For each entry, the names that later entries look at, with the values that they name.

    A later entry looks at its parents, and at its own name: one that another
    entry of the same name has valued is not valued again.
    """
    needed: list[dict[str, list[Value]]] = []
    after: dict[str, list[Value]] = {}
    for hp in reversed(entries):
        needed.append(after)
        after = {**after, hp.name: after.get(hp.name, [])}
        for parent in hp.conditions:
            after[parent.name] = [*after.get(parent.name, []), *parent.values]
    return needed[::-1]
