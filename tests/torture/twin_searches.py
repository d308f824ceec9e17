"""The searches that are killed and compared with their twins: an oracle and its twin's likeness."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from twin_program import DIVERGED, SPACES, Program

import aiotune
from aiotune.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    Oracle,
    RandomSearchOracle,
    synchronized,
)
from aiotune.pruners import ThresholdPruner
from aiotune.searchers import Proposal

__all__ = ("SEARCHES", "Equal", "Kind")


class Equal(Enum):
    """What must be equal to the uninterrupted twin."""

    ORDER = "every trial, and the order in which they ended"
    EACH = "every trial, by its number"
    SET = "all that was tried and what came of it, whatever the numbers"
    GIVEN = "each proposal, given the results that were known"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of search.

    Attributes:
        oracle: Makes its oracle, of a seed.
        trials: How many trials it has, about.
        slots: How many trials run at once.
        equal: What its resumed and its uninterrupted form have in common.
        space: The name of its space.
        discovers: Whether the program has to ask for it; otherwise it is known in advance.
    """

    oracle: Callable[..., Oracle]
    trials: int
    slots: int
    equal: Equal
    space: str
    discovers: bool = False

    def make(self, seed: int | None) -> Oracle:
        """Return its oracle; without a seed it picks one."""
        space = None
        if not self.discovers:
            SPACES[self.space](space := aiotune.HyperParameters())
        oracle = self.oracle(
            self.trials,
            objective=aiotune.Objective("score", "min"),
            seed=seed,
            hyperparameters=space,
            max_retries_per_trial=2,
            max_consecutive_failed_trials=None,
        )
        oracle.pruner = ThresholdPruner(upper=DIVERGED / 2)
        return oracle

    def program(self, seed: int | None, **kwargs: Any) -> Program:
        """Return the tuner that searches so."""
        program = Program(self.make(seed), max_parallel_trials=self.slots, **kwargs)
        program.asks = self.space if self.discovers else ""
        program.seeded = self.equal is not Equal.SET
        return program


class Climbing(Oracle):
    """An oracle as users write them: it keeps a number of its own, and looks at what was best."""

    def __init__(self, trials: int, **kwargs: Any) -> None:
        super().__init__(max_trials=trials, **kwargs)
        self.asked = 0

    @synchronized
    def populate_space(self, trial_id: str) -> Proposal:
        """Change the best so far, by less and less."""
        self.asked += 1
        best = self.get_best_trials()
        numbers = random.Random(f"{self.seed}/{self.asked}")
        values: dict[str, Any] = dict(best[0].values) if best else {}
        values["x"] = min(
            1.0, max(0.0, values.get("x", 0.5) + numbers.gauss(0.0, 1.0) / self.asked)
        )
        values["rate"] = 10 ** numbers.uniform(-4.0, 0.0)
        return Proposal({name: values[name] for name in ("x", "rate")})

    def get_state(self) -> dict[str, Any]:
        """Add how often it was asked."""
        return {**super().get_state(), "asked": self.asked}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take it back."""
        super().set_state(state)
        self.asked = state["asked"]


def _random(trials: int, **kwargs: Any) -> Oracle:
    return RandomSearchOracle(max_trials=trials, **kwargs)


def _grid(trials: int, **kwargs: Any) -> Oracle:
    return GridSearchOracle(max_trials=trials, **kwargs)


def _hyperband(trials: int, **kwargs: Any) -> Oracle:
    return HyperbandOracle(max_epochs=9 if trials > _FEW else 3, factor=3, **kwargs)


def _bayesian(trials: int, **kwargs: Any) -> Oracle:
    return BayesianOptimizationOracle(max_trials=trials, **kwargs)


_FEW = 8
SEARCHES: dict[str, Kind] = {
    "random": Kind(_random, 40, 1, Equal.EACH, "ranges"),
    "random, three at once": Kind(_random, 40, 3, Equal.EACH, "ranges"),
    "random, discovering": Kind(_random, 40, 3, Equal.EACH, "ranges", discovers=True),
    "grid": Kind(_grid, 24, 1, Equal.EACH, "lists"),
    "grid, three at once": Kind(_grid, 24, 3, Equal.EACH, "lists"),
    "hyperband": Kind(_hyperband, 24, 1, Equal.ORDER, "ranges"),
    "hyperband, three at once": Kind(_hyperband, 24, 3, Equal.SET, "ranges"),
    "bayesian": Kind(_bayesian, 16, 1, Equal.ORDER, "ranges"),
    "bayesian, three at once": Kind(_bayesian, 16, 3, Equal.GIVEN, "ranges"),
    "own": Kind(Climbing, 24, 1, Equal.ORDER, "ranges"),
    "short random": Kind(_random, _FEW, 3, Equal.EACH, "ranges", discovers=True),
    "short grid": Kind(_grid, _FEW, 3, Equal.EACH, "lists"),
    "short hyperband": Kind(_hyperband, _FEW, 3, Equal.SET, "ranges"),
    "short bayesian": Kind(_bayesian, _FEW, 1, Equal.ORDER, "ranges"),
    "short own": Kind(Climbing, _FEW, 1, Equal.ORDER, "ranges"),
}
"""All kinds, by name."""
