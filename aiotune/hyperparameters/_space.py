"""A search space as algorithms see it: a frozen list and a unit cube."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from aiotune._values import Value
from aiotune.hyperparameters._codec import serialize
from aiotune.hyperparameters._kinds import Fixed, HyperParameter

__all__ = ("Space",)


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
        """
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in self.axes]

    def from_unit(self, point: Iterable[float]) -> dict[str, Value]:
        """Decode a point of the unit cube; inactive hyperparameters are left out."""
        coordinates = iter(point)
        values: dict[str, Value] = {}
        for hp in self.entries:
            prob = 0.5 if isinstance(hp, Fixed) else next(coordinates)
            if hp.name not in values and all(c.is_active(values) for c in hp.conditions):
                values[hp.name] = hp.prob_to_value(min(max(prob, 0.0), math.nextafter(1.0, 0.0)))
        return values

    @property
    def combinations(self) -> int | None:
        """An upper bound on the number of configurations, conditions left aside; ``None`` if infinite."""
        product = 1
        for hp in self.entries:
            if hp.size is None:
                return None
            product *= hp.size
        return product

    def fingerprint(self) -> str:
        """Return a short hash that two equal spaces share."""
        text = json.dumps([serialize(hp) for hp in self.entries], sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()
