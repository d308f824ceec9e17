"""Questions about the order of a grid, and about the brackets of Hyperband."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

__all__ = ()

_LONGEST = 50
"""No grid below has as many combinations."""


def plain(hp: Any) -> None:
    hp.Choice("a", [1, 2, 3])
    hp.Boolean("b")


def with_defaults(hp: Any) -> None:
    hp.Int("a", 1, 4, default=3)
    hp.Choice("b", ["x", "y"], default="y")


def in_a_scope(hp: Any) -> None:
    hp.Choice("a", [1, 2, 3])
    hp.Boolean("b")
    with hp.conditional_scope("a", [2]):
        hp.Int("c", 1, 2)


def in_nested_scopes(hp: Any) -> None:
    hp.Boolean("a", default=True)
    with hp.conditional_scope("a", [True]):
        hp.Choice("b", ["p", "q"])
        with hp.conditional_scope("b", ["q"]):
            hp.Int("c", 1, 3)
    hp.Choice("d", [7, 8])


def of_many_kinds(hp: Any) -> None:
    hp.Fixed("f", 5)
    hp.Int("i", 2, 8, step=3)
    hp.Float("g", 1.0, 100.0, step=10, sampling="log")


def two_children(hp: Any) -> None:
    if hp.Boolean("a"):
        hp.Choice("b", [1, 2, 3])
    else:
        hp.Choice("c", [1, 2, 3])


def grown_layers(hp: Any) -> None:
    for layer in range(hp.Int("layers", 1, 2)):
        hp.Choice(f"units_{layer}", [16, 32])


def two_of_one_name(hp: Any) -> None:
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        hp.Choice("x", [1, 2])
    with hp.conditional_scope("kind", ["b"]):
        hp.Choice("x", [3, 4, 5])


def _by_name(hp: Any) -> list[Any]:
    return [value for _, value in sorted(hp.values.items())]


def _found_before(space: Callable[[Any], None]) -> Callable[[Product], Any]:
    """Ask for the grid of a space that is all known before the first trial."""

    def ask(p: Product) -> Any:
        hp = p.top.HyperParameters()
        space(hp)
        oracle = p.oracles.GridSearchOracle(objective="loss", hyperparameters=hp)
        oracle = p.opened(oracle)
        values: list[list[Any]] = []
        for _ in range(_LONGEST):
            trial = p.settle(oracle.create_trial("w"))
            if trial.status == "STOPPED":
                return values
            values.append(_by_name(trial.hyperparameters))
            p.settle(oracle.update_trial(trial.trial_id, {"loss": 1.0}))
            trial.status = "COMPLETED"
            p.settle(oracle.end_trial(trial))
        return f"does not end: {len(set(map(str, values)))} of {_LONGEST} are different"

    return ask


def _found_in_trials(space: Callable[[Any], None]) -> Callable[[Product], Any]:
    """Ask for the grid of a space that trials discover while they run."""

    def ask(p: Product) -> Any:
        values = []

        def run(hp: Any) -> float:
            space(hp)
            values.append(_by_name(hp))
            return 1.0

        p.search(p.tuner_of(p.oracles.GridSearchOracle(), run))
        return values

    return ask


for _space in (plain, with_defaults, in_a_scope, in_nested_scopes, of_many_kinds, two_of_one_name):
    question(f"grid {_space.__name__}")(_found_before(_space))
for _space in (plain, in_a_scope, two_children, grown_layers):
    question(f"grid {_space.__name__}, found in trials")(_found_in_trials(_space))


@question("grid of a float without a step")
def _(p: Product) -> Any:
    def space(hp: Any) -> None:
        hp.Float("x", 0.0, 1.0)

    # After the default KerasTuner takes the samples in the order of a set.
    first, *others = _found_before(space)(p)
    return [first, sorted(others)]


@question("grid whose budget is smaller")
def _(p: Product) -> Any:
    hp = p.top.HyperParameters()
    plain(hp)
    oracle = p.oracles.GridSearchOracle(max_trials=4, hyperparameters=hp)
    tuner = p.tuner_of(oracle, lambda hp: 1.0)
    p.search(tuner)
    return [len(oracle.trials), tuner.remaining_trials]
