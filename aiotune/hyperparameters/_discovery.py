"""Builds until every conditional scope has been seen from the inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aiotune.hyperparameters._conditions import Parent
from aiotune.hyperparameters._recorder import HyperParameters

__all__ = ("discover",)

T = TypeVar("T")


def discover(
    build: Callable[[HyperParameters], T], hp: HyperParameters, *, max_builds: int = 1000
) -> T:
    """Learn a search space by building with defaults, then once inside each conditional scope.

    A scope that stays inactive although its conditions were set (a parent that
    itself needs other values, say) is given up, not tried for ever.

    Args:
        build: Asks for hyperparameters.
        hp: Receives the space; its values end as the defaults.
        max_builds: Bound on the number of builds.

    Returns:
        What the first build returned.
    """
    first = build(hp)
    defaults = dict(hp.values)
    tried: set[tuple[Parent, ...]] = set()
    for _ in range(max_builds - 1):
        scope = _next_scope(hp, tried)
        if scope is None:
            break
        tried.add(scope)
        for condition in scope:
            hp.values[condition.name] = condition.values[0]
        hp.ensure_active_values()
        build(hp)
    hp.values = defaults
    hp.ensure_active_values()
    return first


def _next_scope(hp: HyperParameters, tried: set[tuple[Parent, ...]]) -> tuple[Parent, ...] | None:
    for scope in hp.inactive_scopes:
        if scope not in hp.active_scopes and scope not in tried:
            return scope
    return None
