"""What does a proposal of Bayesian optimisation cost, after so many trials, in so many dimensions?

CPU time of a new searcher's first proposal (nothing is kept from earlier ones,
so hyperparameters are fitted), and after four more results, when they are not. Both are of those
that follow the model of all trials; random losses make a search begin anew, and three of four
proposals then learn from fewer trials and cost less. One thread. Floats of which some matter
more than others.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from typing import Any

from _report import report

from aiotune.hyperparameters import HyperParameters, draw_values
from aiotune.searchers import BayesianSearcher, FrozenHistory, Tried, values_key
from aiotune.status import TrialStatus

__all__ = ()

_POLISH = 4
"""One of so many proposals follows the model of all trials, however the search went."""


def _space(dimensions: int) -> HyperParameters:
    hp = HyperParameters()
    for number in range(dimensions):
        hp.Float(f"x{number}", 0.0, 1.0)
    return hp


def _history(hp: HyperParameters, rows: int, seed: int) -> FrozenHistory:
    noise = random.Random(seed)
    tried = []
    for index in range(rows):
        values = draw_values(hp.space, seed=seed, index=index, stream=0)
        places = enumerate(float(value) for value in values.values())
        loss = sum(math.sin(4.0 * x + i) / (1 + i) for i, x in places) + noise.gauss(0.0, 0.01)
        tried.append(Tried(index, values, TrialStatus.COMPLETED, loss))
    return FrozenHistory(rows, seed, hp, True, tried, (), {values_key(t.values) for t in tried})


def _cost(searcher: BayesianSearcher, history: FrozenHistory) -> float:
    begun = time.process_time()
    searcher.propose(history, len(history.tried))
    return 1000.0 * (time.process_time() - begun)


def _measured(dimensions: int, rows: int, repeats: int) -> dict[str, Any]:
    hp, first, following = _space(dimensions), [], []
    for seed in range(repeats):
        searcher = BayesianSearcher()
        first.append(_cost(searcher, _history(hp, rows, seed)))
        following.append(_cost(searcher, _history(hp, rows + _POLISH, seed)))
    return {
        "fitted_ms": round(statistics.median(first), 1),
        "fitted_worst_ms": round(max(first), 1),
        "following_ms": round(statistics.median(following), 1),
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dimensions", nargs="+", type=int, default=[5, 10, 20])
    parser.add_argument("--rows", nargs="+", type=int, default=[52, 100, 200, 500, 1000])
    options = parser.parse_args()
    if any(rows % _POLISH for rows in options.rows):
        parser.error(f"--rows takes multiples of {_POLISH}")
    _measured(2, 20, 1)  # imports
    results = {
        f"{dimensions} dimensions, {rows} trials": _measured(dimensions, rows, options.repeats)
        for dimensions in options.dimensions
        for rows in options.rows
    }
    report(
        "CPU milliseconds of one proposal by the Gaussian process, median of seeds",
        results,
        not_measured="categories and conditions; trials in flight; wall time",
    )


if __name__ == "__main__":
    main()
