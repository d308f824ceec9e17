"""A history that stands still, for a searcher that decides off the event loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from aiotune._values import Values
from aiotune.hyperparameters import HyperParameters
from aiotune.searchers._base import Tried

__all__ = ("FrozenHistory", "values_key")


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_EXACT = 1 << 53
"""Up to here an integer and the float that it equals are one number."""


def values_key(values: Values) -> int:
    """Return what equal configurations have in common, whatever the order of their names.

    128 bits of a digest: of thousands of trials none is remembered whole, and two that differ are
    not mistaken for each other. Python's own hash would do that: -1 and -2 have the same.
    """
    plain = {  # the same for 1, 1.0 and True, and for 0.0 and -0.0, which are equal
        name: value if value.__class__ is str or not -_EXACT <= value <= _EXACT else value + 0.0  # type: ignore[operator]
        for name, value in values.items()
    }
    try:
        text = _encode(plain)
    except (OverflowError, ValueError):  # an integer of more than 64 bits, or half a character
        text = repr(sorted(plain.items())).encode()
    return int.from_bytes(blake2b(text, digest_size=16).digest(), "little")


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
    taken: AbstractSet[int]

    def contains(self, values: Values) -> bool:
        """Whether some trial has exactly these values."""
        return values_key(values) in self.taken
