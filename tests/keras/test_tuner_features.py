"""What a tuner of Keras models offers beside the search itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.errors import ConfigurationError
from aiotune.pruners import Curve, ThresholdPruner
from aiotune.status import TrialStatus

pytestmark = pytest.mark.keras

X = np.random.default_rng(0).random((64, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)
DATA: dict[str, Any] = {"x": X, "y": Y, "validation_data": (X, Y), "verbose": 0}


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(hp.Int("units", 2, 64)), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-3, 1e-1, sampling="log")), "mse")
    return model


def search(path: Path, hypermodel: Any = build, **kwargs: Any) -> aiotune.RandomSearch:
    settings = {"objective": "val_loss", "max_trials": 2, "seed": 0, "project_name": "p"}
    return aiotune.RandomSearch(hypermodel, directory=path, **{**settings, **kwargs})


class AfterTwo:
    """Ends every trial after its second epoch."""

    def judge(self, curve: Curve, step: int, others: Any, *, minimize: bool) -> str | None:
        """Decide about one trial."""
        return f"step {step} is enough" if step >= 1 else None


async def test_a_pruned_training_ends_early_and_completes_with_what_it_reached(
    tmp_path: Path,
) -> None:
    """Ten thousand epochs become a few; the reason is in the trial, the log and the journal."""
    tuner = search(tmp_path, pruner=AfterTwo(), executions_per_trial=2)

    result = await tuner.search(**DATA, epochs=10_000)

    assert [t.status for t in result.trials] == [TrialStatus.COMPLETED] * 2
    assert all(t.stop_reason == "step 1 is enough" for t in result.trials)
    assert all(len(t.executions) == 1 for t in result.trials)
    assert all(2 <= len(t.history) < 10_000 for t in result.trials)
    log = (tmp_path / "p" / "events.log").read_text().splitlines()
    assert [json.loads(line)["event"] for line in log].count("trial_pruned") == 2
    again = search(tmp_path).results()
    assert [t.stop_reason for t in again.trials] == ["step 1 is enough"] * 2


async def test_a_training_loop_of_ones_own_hears_that_it_is_pruned(tmp_path: Path) -> None:
    """update_trial() in a worker returns a trial whose stop_reason says why to end."""

    class Loop(aiotune.BaseTuner):
        def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
            oracle: Any = self.oracle  # in a worker its update_trial() is a plain function
            for step in range(100_000):
                told = oracle.update_trial(trial.trial_id, {"loss": 5.0}, step=step)
                if told.stop_reason:
                    return {"loss": 5.0, "steps": float(step)}
            raise AssertionError("never told")

    oracle = aiotune.oracles.RandomSearchOracle("loss", max_trials=1)
    tuner = Loop(oracle, directory=tmp_path, pruner=ThresholdPruner(upper=1.0))

    result = await tuner.search()

    (trial,) = result.trials
    assert trial.status is TrialStatus.COMPLETED
    assert trial.stop_reason is not None
    assert "5" in trial.stop_reason


@pytest.mark.tensorflow
async def test_a_strategy_is_made_in_the_worker_by_a_function(tmp_path: Path) -> None:
    """The model is built and trained in the scope of what the factory returns."""

    def strategy() -> Any:
        import tensorflow as tf

        return tf.distribute.OneDeviceStrategy("/cpu:0")

    class Asked(aiotune.HyperModel):
        def build(self, hp: aiotune.HyperParameters) -> Any:
            import tensorflow as tf

            hp.Fixed("strategy", type(tf.distribute.get_strategy()).__name__)
            return build(hp)

    tuner = search(tmp_path, Asked(), max_trials=1, distribution_strategy=strategy)

    result = await tuner.search(**DATA, epochs=1)

    assert result.counts == {"COMPLETED": 1}
    log = (tmp_path / "p" / "trial_0" / "attempt-01" / "output.log").read_text()
    assert "Error" not in log


def test_a_strategy_object_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """An object that holds GPUs of this process cannot travel; a function can."""
    with pytest.raises(ConfigurationError, match=r"Pass a function .* gpus_per_trial"):
        search(tmp_path, distribution_strategy=object())


@pytest.mark.tensorflow
async def test_tensorboard_gets_a_directory_an_execution_and_the_hyperparameters(
    tmp_path: Path,
) -> None:
    """Two executions write two runs, each with an HParams session."""
    import keras

    board = keras.callbacks.TensorBoard(str(tmp_path / "board"))
    tuner = search(tmp_path, max_trials=1, executions_per_trial=2)

    await tuner.search(**DATA, epochs=1, callbacks=[board])

    runs = sorted(
        p.relative_to(tmp_path / "board").as_posix() for p in (tmp_path / "board").glob("*/*")
    )
    assert runs == ["0/execution0", "0/execution1"]
    written = b"".join(
        p.read_bytes() for p in (tmp_path / "board").glob("0/execution0/**/*tfevents*")
    )
    assert b"_hparams_/session_start_info" in written
    assert b"units" in written
    files = list((tmp_path / "board" / "0" / "execution0").glob("*tfevents*"))
    assert len(files) == 1, "weighing the model writes nothing"
    assert board.log_dir == str(tmp_path / "board"), "the user's own callback is left alone"


class Counting(aiotune.RandomSearch):
    """Counts trials over all searches of a project."""

    seen = 0

    def on_trial_end(self, trial: aiotune.Trial) -> None:
        self.seen += 1

    def get_state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


async def test_the_state_of_a_subclass_is_kept_with_the_project(tmp_path: Path) -> None:
    """get_state() is written after each trial, and given back when the project is continued."""
    settings: dict[str, Any] = {"objective": "val_loss", "directory": tmp_path, "project_name": "p"}
    await Counting(build, max_trials=1, tuner_id="mine", **settings).search(**DATA, epochs=1)
    again = Counting(build, max_trials=3, tuner_id="mine", **settings)

    await again.search(**DATA, epochs=1)

    assert again.seen == 3
    assert json.loads((tmp_path / "p" / "mine.json").read_text()) == {"seen": 3}
