"""Which algorithm a project of KerasTuner was searched with: its files only partly say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isclose

from aiotune._values import Value
from aiotune.hyperparameters import HyperParameter
from aiotune.migration._read import OldProject

__all__ = ("ORACLES", "find_oracle", "oracle_notes")

ORACLES = {
    "random": "RandomSearchOracle",
    "grid": "GridSearchOracle",
    "bayesian": "BayesianOptimizationOracle",
    "hyperband": "HyperbandOracle",
}
"""Class names by the short names of the command line."""
_CLEAR = 6
"""Trials from which on an order is no chance: after the first, five are in order once in 120 times."""


def find_oracle(
    project: OldProject, entries: Sequence[HyperParameter], values: Sequence[Mapping[str, Value]]
) -> str:
    """Return the class name of the oracle that a project was searched with.

    Bayesian optimisation and Hyperband leave settings of their own. A grid is
    told from random search by the order of its trials.

    Args:
        project: The project.
        entries: Its search space.
        values: The values of its trials, in order of their start.
    """
    if project.state.get("brackets") is not None:
        return ORACLES["hyperband"]
    if project.state.keys() >= {"alpha", "beta"}:
        return ORACLES["bayesian"]
    return ORACLES["grid" if _is_grid(entries, values) else "random"]


def oracle_notes(project: OldProject, oracle: str) -> list[str]:
    """Return a note where a grid was told from random search by a few trials only.

    Args:
        project: The project.
        oracle: What :func:`find_oracle` said.
    """
    count = len(project.trials)
    if oracle != ORACLES["grid"] or count >= _CLEAR:
        return []
    order = f"{count} trials follow the" if count > 1 else "one trial begins the"
    note = (
        f"It was taken for a grid search, since its {order} order of a grid, as so few may by chance. "
        "If it was a random search, import it with --oracle random (oracle='random')."
    )
    return [note]


def _is_grid(entries: Sequence[HyperParameter], values: Sequence[Mapping[str, Value]]) -> bool:
    """Whether trials follow each other as in a grid: defaults first, the last name fastest."""
    orders = {hp.name: _order(hp, values) for hp in entries}
    ranks = [_ranks(orders, one) for one in values]
    known = [rank for rank in ranks if rank is not None]
    if not known or len(known) < len(ranks):
        return False
    starts_with_defaults = all(place <= 0 for place in known[0])
    return starts_with_defaults and all(a < b for a, b in pairwise(known))


def _order(hp: HyperParameter, values: Sequence[Mapping[str, Value]]) -> tuple[Value, ...]:
    """Return a hyperparameter's values as a grid goes through them."""
    listed = tuple(dict.fromkeys([hp.default, *hp.values]))
    if hp.size is not None and hp.size == len(hp.values):
        return listed
    # KerasTuner samples what it does not list in the order of a set: the
    # default comes first, and the others as they came.
    came = dict.fromkeys(one[hp.name] for one in values if hp.name in one)
    samples = [value for value in came if any(_same(value, other) for other in listed)]
    return tuple(dict.fromkeys([hp.default, *samples]))


def _same(a: Value, b: Value) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return isclose(a, b)


def _ranks(
    orders: Mapping[str, tuple[Value, ...]], values: Mapping[str, Value]
) -> tuple[int, ...] | None:
    """Return each value's place in its hyperparameter's order, -1 for one that is not active."""
    found = []
    for name, order in orders.items():
        if name in values and values[name] not in order:
            return None
        found.append(order.index(values[name]) if name in values else -1)
    return tuple(found)
