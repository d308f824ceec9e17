"""Random values that depend on nothing but what they are for.

A value is a function of (seed, trial index, stream, hyperparameter). So the
configurations of a search do not depend on how many trials run at once, on the
order in which hyperparameters are discovered, or on which process draws them.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from aiotune._values import Value
from aiotune.hyperparameters._conditions import hold
from aiotune.hyperparameters._kinds import HyperParameter

__all__ = ("draw", "draw_values")

_UNIT = 2.0**-53


def draw(hp: HyperParameter, *, seed: int, index: int, stream: int) -> Value:
    """Draw the value of one hyperparameter in one trial.

    Args:
        hp: What to value; told apart from others by its name and conditions.
        seed: The search's seed.
        index: The trial's index, from 0.
        stream: Which draw within the trial; a searcher that rejects a
            configuration draws the next.
    """
    return _at(hp, b"%d/%d/%d/" % (seed, index, stream))


def draw_values(
    entries: Iterable[HyperParameter], *, seed: int, index: int, stream: int
) -> dict[str, Value]:
    """Draw all hyperparameters that are active, given the values drawn before them.

    Args:
        entries: A space, parents before children.
        seed: As for :func:`draw`; so are ``index`` and ``stream``.
        index: See ``seed``.
        stream: See ``seed``.

    Returns:
        Values by full name, in the order of the entries.
    """
    prefix = b"%d/%d/%d/" % (seed, index, stream)
    values: dict[str, Value] = {}
    for hp in entries:
        if hp.name not in values and hold(hp.conditions, values):
            values[hp.name] = _at(hp, prefix)
    return values


def _at(hp: HyperParameter, prefix: bytes) -> Value:
    # The key has a fixed length, so no two (numbers, key) give one message. The
    # upper 53 bits fill a float's mantissa evenly; more would round to 1.0.
    digest = blake2b(prefix + hp.draw_key, digest_size=8).digest()
    return hp.prob_to_value((int.from_bytes(digest, "little") >> 11) * _UNIT)
