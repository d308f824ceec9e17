"""A history that stands still, for a searcher that decides off the event loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from aiotune._values import Value, Values
from aiotune.hyperparameters import HyperParameters
from aiotune.searchers._base import Tried

__all__ = ("FrozenHistory", "values_key")


def values_key(values: Values) -> frozenset[tuple[str, Value]]:
    """Return what equal configurations have in common, whatever the order of their names."""
    return frozenset(values.items())


@dataclass(frozen=True, slots=True)
class FrozenHistory:
    """The past at one moment; a :class:`~aiotune.searchers.History` that no event changes.

    Attributes:
        version: As of the history it was taken from; so are the other fields.
        seed: Seeds proposals.
        space: The search space.
        minimize: Whether a smaller score is better.
        tried: All trials, by index.
        unfinished: Indices of the trials that have not ended.
        taken: The :func:`values_key` of every configuration that was proposed or
            ended. May go on growing: it is asked for single members only.
    """

    version: int
    seed: int
    space: HyperParameters
    minimize: bool
    tried: Sequence[Tried]
    unfinished: Collection[int]
    taken: AbstractSet[frozenset[tuple[str, Value]]]

    def contains(self, values: Values) -> bool:
        """Whether some trial has exactly these values."""
        return values_key(values) in self.taken
