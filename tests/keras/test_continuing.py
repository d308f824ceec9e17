"""Trials that go on with the training of others, and which weights are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.oracles import Oracle
from aiotune.searchers import Exhausted, History, Proposal, SearcherDecision, Wait
from aiotune.status import TrialStatus
from aiotune.worker._checkpoints import continue_from, save_state, save_weights

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

RNG = np.random.default_rng(0)
X = RNG.random((64, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)
# One batch an epoch: nothing is shuffled between batches, so a training that
# goes on is the same as one that was never interrupted.
DATA: dict[str, Any] = {
    "x": X,
    "y": Y,
    "validation_data": (X, Y),
    "batch_size": 64,
    "shuffle": False,
    "verbose": 0,
}


def build(hp: aiotune.HyperParameters) -> Any:
    """An unbuilt model: only fit(), or its recipe, tells its input's shape."""
    import keras

    ones = keras.initializers.RandomUniform(0.0, 0.1, seed=1)
    model = keras.Sequential(
        [
            keras.layers.Dense(hp.Int("units", 3, 5), kernel_initializer=ones),
            keras.layers.Dense(1, kernel_initializer=ones),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


class Chain:
    """Three trials of one configuration: three epochs at once, one epoch, two more of that."""

    is_heavy = False

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        if index == 2 and 1 in history.unfinished:
            return Wait()
        if index > 2:
            return Exhausted()
        budget: dict[str, Any] = [
            {"epochs": 3, "initial_epoch": 0},
            {"epochs": 1, "initial_epoch": 0, "bracket": 1, "round": 0},
            {"epochs": 3, "initial_epoch": 1, "bracket": 1, "round": 1, "parent": 1},
        ][index]
        return Proposal({"units": 4}, 0, budget)

    def continuable(self, history: History) -> set[int]:
        """The second trial is continued by the third."""
        return {1} if len(history.tried) < 3 else set()


async def test_a_continued_training_equals_one_that_was_never_interrupted(tmp_path: Path) -> None:
    """Weights and optimizer go on: one epoch and two more are three epochs, to the last bit or so."""
    oracle = Oracle("val_loss", searcher=Chain(), seed=0)
    tuner = aiotune.Tuner(oracle, build, directory=tmp_path, max_parallel_trials=1)

    result = await tuner.search(**DATA)

    whole, first, rest = result.trials
    assert [t.status for t in result.trials] == [TrialStatus.COMPLETED] * 3
    assert [s for _, s, _ in rest.history] == [1, 2]
    assert rest.best_step == 2
    assert rest.parent_id == first.trial_id
    assert rest.score == pytest.approx(whole.score, rel=1e-4)
    assert first.score is not None
    assert rest.score is not None
    assert rest.score < first.score
    assert not list(tmp_path.glob("**/state-*.h5")), "nobody can continue any more"


async def test_programs_read_the_epochs_they_are_given_among_the_values(tmp_path: Path) -> None:
    """tuner/epochs and its like are there in a trial and in the best, and never in the space."""
    seen = tmp_path / "seen"

    class Told(aiotune.BaseTuner):
        def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
            hp = trial.hyperparameters
            with seen.open("a") as file:
                file.write(f"{hp['tuner/epochs']} {hp.values.get('tuner/trial_id')}\n")
            return {"val_loss": 1.0 / hp["tuner/epochs"]}

    oracle = Oracle("val_loss", searcher=Chain(), seed=0)
    tuner = Told(oracle, directory=tmp_path, max_parallel_trials=1)

    result = await tuner.search()

    assert seen.read_text().splitlines() == ["3 None", "1 None", "3 0001"]
    assert all("tuner/epochs" not in t.values for t in result.trials)
    best = tuner.get_best_hyperparameters()[0]
    assert best["tuner/epochs"] == 3
    assert "tuner/epochs" not in {hp.name for hp in best.space}


async def test_only_the_best_trials_keep_their_weights(tmp_path: Path) -> None:
    """Of four trials the best two have a checkpoint, without the optimizer's slots."""
    tuner = aiotune.RandomSearch(
        build, "val_loss", max_trials=4, seed=0, directory=tmp_path, keep_best=2
    )

    result = await tuner.search(**DATA, epochs=1)

    with_weights = {p.parent.name for p in tmp_path.glob("**/checkpoint.weights.h5")}
    best = sorted(result.trials, key=lambda t: t.score or 0.0)[:2]
    assert len(result.trials) == 3, "units has three values"
    assert with_weights == {f"trial_{t.trial_id}" for t in best}
    with pytest.raises(FileNotFoundError, match="keep_best"):
        tuner.load_model(max(result.trials, key=lambda t: t.score or 0.0))


def trained() -> Any:
    model = build(aiotune.HyperParameters())
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def test_a_state_holds_the_optimizer_and_weights_do_not(tmp_path: Path) -> None:
    """A state restores the optimizer's step counter; the weights' file is much smaller."""
    model = trained()
    save_weights(model, tmp_path)
    save_state(model, tmp_path, 0)

    other = build(aiotune.HyperParameters())
    found = continue_from(other, tmp_path, 0)

    assert found
    assert int(other.optimizer.iterations) == int(model.optimizer.iterations) > 0
    assert model.optimizer is not None, "saving leaves the model as it was"
    sizes = [
        (tmp_path / name).stat().st_size for name in ("checkpoint.weights.h5", "state-0.weights.h5")
    ]
    assert sizes[0] < sizes[1]


def test_a_state_that_was_not_kept_leaves_the_model_alone(tmp_path: Path) -> None:
    """Without a file there is nothing to go on from, and that is an answer."""
    assert not continue_from(build(aiotune.HyperParameters()), tmp_path, 0)
