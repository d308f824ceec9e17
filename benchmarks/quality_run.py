"""One search of one problem by one contender: the part of quality.py that runs in any interpreter.

``quality_run.py CONTENDER PROBLEM SEED IN_FLIGHT EVALUATIONS TABLES`` prints one
JSON object. Trials take no real time: they end in the order of log-normal
durations, which are the same for all contenders.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from quality_problems import Dimension, Problem, load_problem

__all__ = ("CONTENDERS", "Contender", "search")

SPREAD = 0.6
"""Standard deviation of the logarithm of a trial's duration."""


class Contender(Protocol):
    """A tuner, asked and told; ``ask`` returns a handle and the values."""

    def ask(self) -> tuple[Any, dict[str, Any]]: ...
    def tell(self, handle: Any, loss: float) -> None: ...


def declare(hp: Any, dimensions: tuple[Dimension, ...]) -> None:
    """Declare dimensions on the HyperParameters of aiotune or KerasTuner: the calls are the same."""
    by_name = {dimension.name: dimension for dimension in dimensions}
    for dimension in dimensions:
        with contextlib.ExitStack() as scopes:
            for name, values in reversed(list(_ancestors(dimension, by_name))):
                scopes.enter_context(hp.conditional_scope(name, list(values)))
            _declare_one(hp, dimension)


def _ancestors(
    dimension: Dimension, by_name: dict[str, Dimension]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    while dimension.parent is not None:
        yield dimension.parent
        dimension = by_name[dimension.parent[0]]


def _declare_one(hp: Any, dimension: Dimension) -> None:
    scale = "log" if dimension.log else "linear"
    if dimension.kind == "float":
        hp.Float(dimension.name, *dimension.domain, sampling=scale)
    elif dimension.kind == "int":
        hp.Int(dimension.name, *dimension.domain, sampling=scale)
    elif isinstance(dimension.domain[0], str):
        hp.Choice(dimension.name, list(dimension.domain))
    else:
        hp.Choice(dimension.name, list(dimension.domain), ordered=True)


class Aiotune:
    """The oracle of this package, by its public methods."""

    def __init__(self, problem: Problem, seed: int, evaluations: int, **settings: Any) -> None:
        from aiotune import Objective
        from aiotune.hyperparameters import HyperParameters
        from aiotune.oracles import BayesianOptimizationOracle

        hp = HyperParameters()
        declare(hp, problem.dimensions)
        self.runner = asyncio.Runner()
        self.oracle = BayesianOptimizationOracle(
            Objective("loss", "min"), evaluations, seed=seed, hyperparameters=hp, **settings
        )

    def ask(self) -> tuple[Any, dict[str, Any]]:
        trial = self.runner.run(self.oracle.create_trial(f"t{len(self.oracle.trials)}"))
        return trial, dict(trial.hyperparameters.values)

    def tell(self, handle: Any, loss: float) -> None:
        self.runner.run(self.oracle.update_trial(handle.trial_id, {"loss": loss}))
        handle.status = "COMPLETED"
        self.runner.run(self.oracle.end_trial(handle))


class KerasTuner:
    """KerasTuner's oracle, by its public methods, its own defaults."""

    def __init__(self, problem: Problem, seed: int, evaluations: int) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            import keras_tuner
            from keras_tuner.oracles import BayesianOptimizationOracle

        hp = keras_tuner.HyperParameters()
        declare(hp, problem.dimensions)
        self.oracle = BayesianOptimizationOracle(
            keras_tuner.Objective("loss", "min"), evaluations, seed=seed, hyperparameters=hp
        )
        self.folder = tempfile.TemporaryDirectory()
        self.oracle._set_project_dir(self.folder.name, "project")  # noqa: SLF001 - needed to run it alone
        self.asked = 0

    def ask(self) -> tuple[Any, dict[str, Any]]:
        self.asked += 1
        with contextlib.redirect_stdout(io.StringIO()):
            trial = self.oracle.create_trial(f"t{self.asked}")
        return trial, dict(trial.hyperparameters.values)

    def tell(self, handle: Any, loss: float) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.oracle.update_trial(handle.trial_id, {"loss": loss})
            handle.status = "COMPLETED"
            self.oracle.end_trial(handle)


class OptunaGP:
    """Optuna's Gaussian process, its own defaults."""

    def __init__(self, problem: Problem, seed: int, evaluations: int) -> None:
        import warnings

        import optuna  # type: ignore[import-not-found] # in an interpreter of its own

        warnings.filterwarnings("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.problem = problem
        self.study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=seed))

    def ask(self) -> tuple[Any, dict[str, Any]]:
        trial = self.study.ask()
        values: dict[str, Any] = {}
        for dimension in self.problem.dimensions:
            parent = dimension.parent
            if parent is None or values.get(parent[0]) in parent[1]:
                values[dimension.name] = self._suggest(trial, dimension)
        return trial, values

    def _suggest(self, trial: Any, dimension: Dimension) -> Any:
        if dimension.kind == "float":
            return trial.suggest_float(dimension.name, *dimension.domain, log=dimension.log)
        if dimension.kind == "int":
            return trial.suggest_int(dimension.name, *dimension.domain, log=dimension.log)
        return trial.suggest_categorical(dimension.name, dimension.domain)

    def tell(self, handle: Any, loss: float) -> None:
        self.study.tell(handle, loss)


CONTENDERS: dict[str, Callable[[Problem, int, int], Contender]] = {
    "aiotune": Aiotune,
    "keras-tuner": KerasTuner,
    "optuna-gp": OptunaGP,
}


def search(
    contender: Contender, problem: Problem, seed: int, in_flight: int, evaluations: int
) -> dict[str, Any]:
    """Search, and return the loss of each evaluation in the order in which they ended.

    A contender that asks for a configuration once more gets the same loss, and it counts.
    """
    durations = random.Random(f"durations {seed}")
    running: list[tuple[float, int, Any, float]] = []
    losses: list[float] = []
    now, asked, cpu, slowest = 0.0, 0, 0.0, 0.0
    while len(losses) < evaluations:
        if asked < evaluations and len(running) < in_flight:
            begun = time.process_time()
            handle, values = contender.ask()
            spent = time.process_time() - begun
            cpu, slowest = cpu + spent, max(slowest, spent)
            end = now + durations.lognormvariate(0.0, SPREAD)
            heapq.heappush(running, (end, asked, handle, _loss(problem, values)))
            asked += 1
            continue
        now, _, handle, loss = heapq.heappop(running)
        losses.append(loss)
        begun = time.process_time()
        contender.tell(handle, loss)
        cpu += time.process_time() - begun
    return {"losses": losses, "cpu_s": round(cpu, 4), "slowest_ask_s": round(slowest, 4)}


def _loss(problem: Problem, values: dict[str, Any]) -> float:
    """Return the loss of what is active: KerasTuner's values may hold more."""
    active: dict[str, Any] = {}
    for dimension in problem.dimensions:
        parent = dimension.parent
        if parent is None or active.get(parent[0]) in parent[1]:
            active[dimension.name] = values[dimension.name]
    return problem.loss(active) - problem.optimum


def main(arguments: list[str]) -> None:
    """Run one search and print it."""
    name, problem_name, seed, in_flight, evaluations, tables = arguments
    problem = load_problem(problem_name, Path(tables))
    contender = CONTENDERS[name](problem, int(seed), int(evaluations))
    print(json.dumps(search(contender, problem, int(seed), int(in_flight), int(evaluations))))


if __name__ == "__main__":
    main(sys.argv[1:])
