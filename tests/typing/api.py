"""Code that is only type-checked: the public types as a user meets them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, assert_type

import aiotune
from aiotune.oracles import GridSearchOracle, Oracle, RandomSearchOracle
from aiotune.searchers import (
    Exhausted,
    History,
    Proposal,
    Searcher,
    SearcherDecision,
    Wait,
)


def build(hp: aiotune.HyperParameters) -> Any:
    with hp.conditional_scope("kind", ["deep"]):
        hp.Int("layers", 1, 5)
    return hp.Float("lr", 1e-4, 1e-2, sampling="log")


class Model(aiotune.HyperModel):
    def build(self, hp: aiotune.HyperParameters) -> Any:
        return build(hp)

    def fit(self, hp: aiotune.HyperParameters, model: Any, *args: Any, **kwargs: Any) -> float:
        return 0.0


class Anything(aiotune.RandomSearch):
    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Mapping[str, float]:
        return {"loss": trial.hyperparameters.Float("x", 0.0, 1.0)}

    async def on_trial_end(self, trial: aiotune.Trial) -> None:
        await asyncio.sleep(0)


class Mine(Oracle):
    async def populate_space(self, trial_id: str) -> SearcherDecision | Mapping[str, Any]:
        return Proposal({"x": 1.0}) if trial_id == "0" else Exhausted()


class First(Searcher):
    is_heavy = False

    def propose(self, history: History, index: int) -> SearcherDecision:
        return Wait() if history.unfinished else Proposal({"x": index})


async def use() -> None:
    tuner = aiotune.RandomSearch(build, objective="val_loss", max_trials=3)
    result = await tuner.search([1.0], epochs=1)
    assert_type(result, aiotune.SearchResult)
    assert_type(result.best_score, float | None)
    assert_type(tuner.remaining_trials, int | None)
    assert_type(tuner.get_best_hyperparameters()[0], aiotune.HyperParameters)
    objective = aiotune.Objective("val_f1", "max")
    aiotune.GridSearch(Model(), objective=[objective, "val_loss"], directory="runs")
    aiotune.Tuner(Mine(objective="loss", searcher=First()), Model(), executions_per_trial=2)
    oracle = RandomSearchOracle(objective="loss")
    async with oracle.open("runs", "mine"):
        trial = await oracle.create_trial("w0")
        assert_type(trial, aiotune.Trial)
        await oracle.update_trial(trial.trial_id, {"loss": 0.3}, step=1)
        await oracle.end_trial(trial)
    GridSearchOracle(max_trials=None)
