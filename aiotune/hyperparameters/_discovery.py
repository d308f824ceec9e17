"""Learns a search space by building: with defaults, then inside each conditional scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aiotune._values import Value
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters._conditions import Parent
from aiotune.hyperparameters._recorder import HyperParameters

__all__ = ("discover",)

T = TypeVar("T")
_Scope = tuple[Parent, ...]


def discover(
    build: Callable[[HyperParameters], T], hp: HyperParameters, *, max_builds: int = 1000
) -> T:
    """Build until every conditional scope that was seen has been active once.

    The first build sees the values of ``hp``, and defaults. A scope that was
    inactive is entered by building again with the values under which it was
    seen, its parents set to values that open it. A scope is tried once: one
    that cannot open (its parent never takes such a value, or its conditions
    exclude one another), or does not although its parents were set, is left
    to the trials, which announce what they discover.

    Args:
        build: Asks for hyperparameters.
        hp: Receives the space. Its values end as they were after the first
            build, and defaults for what is active and was found later; also
            when a build raises, so what was asked for until then is known.
        max_builds: Bound on the number of builds, at least 1.

    Returns:
        What the first build returned.

    Raises:
        ConfigurationError: ``max_builds`` is less than 1.
        Exception: Whatever ``build`` raises.
    """
    if max_builds < 1:
        raise ConfigurationError(f"max_builds is {max_builds}, but at least one build is needed.")
    first = build(hp)
    defaults = dict(hp.values)
    seen_under: dict[_Scope, dict[str, Value]] = {}
    tried: set[_Scope] = set()
    try:
        for _ in range(max_builds - 1):
            for scope in hp.inactive_scopes:
                seen_under.setdefault(scope, dict(hp.values))
            opening = _next_opening(hp, seen_under, tried)
            if opening is None:
                break
            hp.values = opening
            hp.ensure_active_values()
            build(hp)
    finally:
        hp.values = defaults
        hp.ensure_active_values()
    return first


def _next_opening(
    hp: HyperParameters, seen_under: dict[_Scope, dict[str, Value]], tried: set[_Scope]
) -> dict[str, Value] | None:
    """Return the values to enter the next scope with, or ``None`` when none is left."""
    for scope in hp.inactive_scopes:
        if scope in tried or scope in hp.active_scopes:
            continue
        tried.add(scope)
        parents = _opening_values(hp, scope)
        if parents is not None:
            return {**seen_under[scope], **parents}
    return None


def _opening_values(hp: HyperParameters, scope: _Scope) -> dict[str, Value] | None:
    """Return a value for each parent that meets all conditions on it, or ``None``."""
    chosen: dict[str, Value] = {}
    for name in dict.fromkeys(parent.name for parent in scope):
        conditions = [parent for parent in scope if parent.name == name]
        entries = [entry for entry in hp.space if entry.name == name]
        fitting = (
            value
            for value in conditions[0].values
            if all(value in parent.values for parent in conditions[1:])
            and any(entry.accepts(value) for entry in entries)
        )
        value = next(fitting, None)
        if value is None:
            return None
        chosen[name] = value
    return chosen
