"""The tuner of Keras models."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from aiotune.tuner import Tuner

__all__ = ("Tuner", "maybe_distribute")


def maybe_distribute(distribution_strategy: Any) -> AbstractContextManager[Any]:
    """Return the scope of a distribution strategy.

    Args:
        distribution_strategy: A ``tf.distribute.Strategy``, or anything else with a
            ``scope()``; ``None``: the context that is returned does nothing.
    """
    if distribution_strategy is None:
        return nullcontext()
    scope: AbstractContextManager[Any] = distribution_strategy.scope()
    return scope
