"""The tuner of Keras models."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from aiotune._printable import shown
from aiotune.errors import WrongType
from aiotune.tuner import Tuner

__all__ = ("Tuner", "maybe_distribute")


def maybe_distribute(distribution_strategy: Any) -> AbstractContextManager[Any]:
    """Return the scope of a distribution strategy.

    Args:
        distribution_strategy: A ``tf.distribute.Strategy``, or anything else with a
            ``scope()``; ``None``: the context that is returned does nothing.

    Raises:
        WrongType: It has no ``scope()``; that is a ``TypeError``.
    """
    if distribution_strategy is None:
        return nullcontext()
    if not callable(getattr(distribution_strategy, "scope", None)):
        raise WrongType(
            f"distribution_strategy has no scope(): it is {shown(distribution_strategy)} of type "
            f"{type(distribution_strategy).__name__}. Pass a strategy of a back end, or None."
        )
    scope: AbstractContextManager[Any] = distribution_strategy.scope()
    return scope
