"""Questions about Hyperband: how many trials, for how many epochs, and who goes on."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

__all__ = ()


def _run(p: Product, oracle: Any, *, workers: int) -> list[dict[str, Any]]:
    """Run a whole search, some trials at a time, and return the values of each trial."""
    shown: list[dict[str, Any]] = []
    while True:
        trials = [p.settle(oracle.create_trial(str(worker))) for worker in range(workers)]
        running = [trial for trial in trials if trial.status == "RUNNING"]
        if not running:
            return shown
        for trial in running:
            # aiotune keeps control data out of the values, and shows them together.
            values = getattr(trial, "shown_values", trial.hyperparameters.values)
            shown.append({name: value for name, value in values.items() if "/" in name})
            loss = (int(trial.trial_id) * 7919) % 101 / 101
            p.settle(oracle.update_trial(trial.trial_id, {"loss": loss}))
            trial.status = "COMPLETED"
            p.settle(oracle.end_trial(trial))


def _oracle(p: Product, **settings: Any) -> Any:
    hp = p.top.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    oracle = p.oracles.HyperbandOracle(objective="loss", hyperparameters=hp, seed=1, **settings)
    return p.opened(oracle)


def _sizes(max_epochs: int, factor: int, iterations: int = 1) -> Callable[[Product], Any]:
    """Ask how many trials of each round train up to and from which epoch."""

    def ask(p: Product) -> Any:
        oracle = _oracle(p, max_epochs=max_epochs, factor=factor, hyperband_iterations=iterations)
        trials = _run(p, oracle, workers=1)
        names = ("tuner/round", "tuner/initial_epoch", "tuner/epochs")
        counted = Counter(tuple(values[name] for name in names) for values in trials)
        return [len(trials), sorted([list(key), number] for key, number in counted.items())]

    return ask


for _epochs, _factor in ((27, 3), (10, 3), (8, 2), (50, 3), (100, 3), (81, 4), (2, 3), (1, 3)):
    question(f"hyperband: {_epochs} epochs, factor {_factor}")(_sizes(_epochs, _factor))
question("hyperband: two iterations")(_sizes(8, 2, iterations=2))


@question("hyperband: one trial after the other")
def _(p: Product) -> Any:
    names = ("tuner/round", "tuner/epochs", "tuner/initial_epoch", "tuner/trial_id")
    trials = _run(p, _oracle(p, max_epochs=8, factor=2), workers=1)
    return [[values.get(name) for name in names] for values in trials]


@question("hyperband: the bracket that a trial is said to be of")
def _(p: Product) -> Any:
    trials = _run(p, _oracle(p, max_epochs=4, factor=2), workers=1)
    return [[values["tuner/bracket"], values["tuner/round"]] for values in trials]


@question("hyperband: a factor that is too small")
def _(p: Product) -> Any:
    return _oracle(p, max_epochs=8, factor=1)


@question("hyperband: no epochs")
def _(p: Product) -> Any:
    return type(_oracle(p, max_epochs=0, factor=3)).__name__


@question("hyperband: summary of a trial")
def _(p: Product) -> Any:
    oracle = _oracle(p, max_epochs=2, factor=2)
    _run(p, oracle, workers=1)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        next(trial for trial in oracle.trials.values() if trial.score is not None).summary()
    lines = out.getvalue().splitlines()
    return sorted(line for line in lines if not line.startswith("x: "))
