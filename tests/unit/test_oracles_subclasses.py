"""The space of an oracle, and oracles of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anyio.lowlevel import checkpoint

from aiotune.errors import ConfigurationError, FatalValueError, WrongType
from aiotune.hyperparameters import HyperParameters, draw_values
from aiotune.oracles import Oracle, RandomSearchOracle
from aiotune.searchers import SearcherDecision
from aiotune.status import TrialStatus
from aiotune.trial import Trial


def space() -> HyperParameters:
    hp = HyperParameters()
    hp.Int("a", 1, 100)
    hp.Boolean("b")
    return hp


def oracle_with(trials: int | None = 10, **kwargs: Any) -> RandomSearchOracle:
    return RandomSearchOracle("loss", trials, **{"seed": 0, "hyperparameters": space(), **kwargs})


async def finish(oracle: Oracle, trial: Trial, loss: float = 1.0) -> None:
    await oracle.update_trial(trial.trial_id, {"loss": loss})
    await oracle.end_trial(trial)


# ── the space ──────────────────────────────────────────────────────────────


async def test_what_a_trial_discovers_is_searched_from_then_on() -> None:
    """The end of a trial adds what it asked for, with its values."""
    oracle = RandomSearchOracle("loss", seed=0)
    trial = await oracle.create_trial("w")
    trial.hyperparameters.Int("a", 1, 100)
    await finish(oracle, trial)

    second = await oracle.create_trial("w")

    assert list(second.values) == ["a"]
    assert oracle.get_space().space == trial.hyperparameters.space
    assert oracle.get_space() is not oracle.hyperparameters


async def test_new_entries_can_be_forbidden() -> None:
    """The message names them."""
    oracle = oracle_with(allow_new_entries=False)
    hp = space()
    hp.Int("c", 1, 2)

    with pytest.raises(RuntimeError, match=r"`allow_new_entries` is `False`.*\['c'\]"):
        await oracle.update_space(hp)


async def test_new_entries_can_be_left_untuned() -> None:
    """They do not enter the space, and trials give them their defaults."""
    oracle = oracle_with(tune_new_entries=False)
    hp = space()
    hp.Int("c", 1, 2)

    await oracle.update_space(hp)

    assert oracle.hyperparameters.space == space().space
    assert (await oracle.create_trial("w")).stream is None


@pytest.mark.parametrize("forbidden", ["allow_new_entries", "tune_new_entries"])
def test_nothing_to_search_is_refused(forbidden: str) -> None:
    """A space must be given where none may be found."""
    with pytest.raises(ConfigurationError, match="you must specify the search space"):
        Oracle("loss", **{forbidden: False})  # type: ignore[arg-type]


def test_a_seed_of_zero_is_a_seed_and_none_is_drawn() -> None:
    """KerasTuner takes 0 for none."""
    assert oracle_with(seed=0).seed == 0
    assert oracle_with(seed=None).seed != oracle_with(seed=None).seed


def test_the_given_space_is_not_changed() -> None:
    """Two oracles may be given the same."""
    given = space()
    oracle = oracle_with(hyperparameters=given)
    oracle.hyperparameters.Int("c", 1, 2)

    assert [hp.name for hp in given.space] == ["a", "b"]
    assert oracle.given_space.space == given.space


# ── subclasses ─────────────────────────────────────────────────────────────


class Synchronous(Oracle):
    """An oracle in KerasTuner's form: plain functions and dicts."""

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:  # type: ignore[override]
        if len(self.trials) == 2:
            return {"status": "STOPPED"}
        return {"status": "RUNNING", "values": {"a": 5, "tuner/epochs": 3}}

    def score_trial(self, trial: Trial) -> None:  # type: ignore[override]
        trial.score, trial.best_step = 42.0, 7


async def test_overrides_may_be_plain_functions() -> None:
    """Values that they leave out are drawn; names outside the space stay."""
    oracle = Synchronous("loss", hyperparameters=space(), seed=0)
    trial = await oracle.create_trial("w")
    values = dict(trial.values)
    await finish(oracle, trial)
    await oracle.create_trial("w")

    drawn = draw_values(space().space, seed=0, index=0, stream=0)
    assert values == {"a": 5, "b": drawn["b"], "tuner/epochs": 3}
    assert (trial.score, trial.best_step) == (42.0, 7)
    await finish(oracle, oracle.ongoing_trials["w"])
    assert (await oracle.create_trial("w")).status is TrialStatus.STOPPED


async def test_overrides_may_be_coroutines() -> None:
    """The default can be asked for its own answer."""

    class Asynchronous(RandomSearchOracle):
        async def populate_space(self, trial_id: str) -> SearcherDecision | Mapping[str, Any]:
            await checkpoint()
            return await super().populate_space(trial_id)

        async def score_trial(self, trial: Trial) -> None:
            await super().score_trial(trial)
            trial.score = -(trial.score or 0.0)

    oracle = Asynchronous("loss", seed=0, hyperparameters=space())
    trial = await oracle.create_trial("w")
    await finish(oracle, trial, 3.0)

    assert trial.values == draw_values(space().space, seed=0, index=0, stream=0)
    assert trial.score == -3.0


class Scored(RandomSearchOracle):
    """An oracle that scores a trial as it is told to."""

    verdict: tuple[Any, Any]

    def score_trial(self, trial: Trial) -> None:  # type: ignore[override]
        trial.score, trial.best_step = self.verdict


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ((np.float64(0.5), np.int64(3)), (0.5, 3)),
        ((np.float32(0.5), None), (0.5, 0)),
        ((np.array(2), True), (2.0, 1)),
        ((True, 0), (1.0, 0)),
    ],
)
async def test_a_score_of_numpy_is_recorded_as_a_number(
    tmp_path: Path, verdict: tuple[Any, Any], expected: tuple[float, int]
) -> None:
    """The project can be opened again; no step counts as the first."""
    oracle = Scored("loss", seed=0, hyperparameters=space())
    oracle.verdict = verdict
    async with oracle.open(tmp_path, "scored"):
        await finish(oracle, await oracle.create_trial("w"))

    async with Scored("loss", seed=0).open(tmp_path, "scored") as again:
        best = again.best_trial

    assert best is not None
    assert (best.score, best.best_step) == expected
    assert (type(best.score), type(best.best_step)) == (float, int)


@pytest.mark.parametrize("verdict", [("0.5", 0), (10**400, 0), (0.5, 1.5), ([0.5, 1.0], 0)])
async def test_a_score_that_is_no_number_is_refused(verdict: tuple[Any, Any]) -> None:
    """The trial goes on, so that another answer can be given."""
    oracle = Scored("loss", seed=0, hyperparameters=space())
    oracle.verdict = verdict
    trial = await oracle.create_trial("w")

    with pytest.raises(WrongType, match=r"Scored\.score_trial\(\) set .* of trial 00"):
        await finish(oracle, trial)

    oracle.verdict = (0.5, 1)
    await oracle.end_trial(trial)
    assert (trial.status, trial.score) == (TrialStatus.COMPLETED, 0.5)


async def test_a_senseless_proposal_is_fatal() -> None:
    """The message shows it."""

    class Senseless(Oracle):
        def populate_space(self, trial_id: str) -> Any:
            return "more"

    with pytest.raises(FatalValueError, match="it returned 'more'"):
        await Senseless("loss").create_trial("w")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"a": 10**30}, "for the hyperparameter 'a', what no journal can hold.* 64 bits"),
        ({"b": "\ud800"}, "half of a surrogate pair"),
        ({3: 1}, "hyperparameter 3, .* name is of type int"),
    ],
)
async def test_a_proposal_that_no_file_can_hold_is_fatal(values: Any, said: str) -> None:
    """It is refused before it is recorded, so the project stays readable."""

    class Wide(Oracle):
        def populate_space(self, trial_id: str) -> Any:
            return {"status": "RUNNING", "values": values}

    with pytest.raises(FatalValueError, match=said):
        await Wide("loss").create_trial("w")


async def test_a_scheduler_goes_through_an_overridden_create_trial() -> None:
    """IDLE is waited out: it is asked again when a trial has ended."""

    class Idle(RandomSearchOracle):
        answers = 0

        async def create_trial(self, tuner_id: str) -> Trial:
            self.answers += 1
            if self.answers == 2:
                return Trial(HyperParameters(), "", TrialStatus.IDLE)
            return await super().create_trial(tuner_id)

    oracle = Idle("loss", seed=0, hyperparameters=space())
    first = await oracle.next_trial()
    waiting = asyncio.ensure_future(oracle.next_trial())
    for _ in range(10):
        await checkpoint()
    asked = oracle.answers
    await finish(oracle, first)

    assert asked == 2
    assert (await waiting).trial_id == "01"


def test_an_oracle_survives_several_event_loops() -> None:
    """One asyncio.run() after the other, as scripts do."""
    oracle = oracle_with()

    async def one() -> None:
        await finish(oracle, await oracle.create_trial("w"))

    asyncio.run(one())
    asyncio.run(one())

    assert [t.status for t in oracle.trials.values()] == [TrialStatus.COMPLETED] * 2
