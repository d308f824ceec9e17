"""Real models: what is trained, kept, refused, and continued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.errors import (
    ConfigurationError,
    FatalTypeError,
    FatalValueError,
    PayloadError,
    SpaceChanged,
)
from aiotune.status import TrialStatus

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(0)
X = RNG.random((64, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)
DATA: dict[str, Any] = {"x": X, "y": Y, "validation_data": (X, Y), "epochs": 2, "verbose": 0}


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(hp.Int("units", 2, 64), activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-3, 1e-1, sampling="log")), "mse")
    return model


def tuner(path: Path, hypermodel: Any = build, **kwargs: Any) -> aiotune.RandomSearch:
    settings = {"objective": "val_loss", "max_trials": 3, "seed": 0, "project_name": "p"}
    return aiotune.RandomSearch(hypermodel, directory=path, **{**settings, **kwargs})


async def test_the_best_model_is_loaded_with_its_best_weights(tmp_path: Path) -> None:
    """The loaded model's loss is the trial's score, and its epochs were reported."""
    search = tuner(tmp_path, executions_per_trial=2)

    result = await search.search(**DATA)
    (model,) = search.get_best_models()

    best = result.best_trial
    assert best is not None
    assert [len(t.executions) for t in result.trials] == [2, 2, 2]
    assert {(e, s) for e, s, _ in best.history} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    losses = [e["val_loss"] for e in best.executions]
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(min(losses), rel=1e-4)
    assert best.score == pytest.approx(sum(losses) / 2)


async def test_a_search_is_continued_from_its_directory(tmp_path: Path) -> None:
    """A new process's tuner sees the finished trials and runs only what is left."""
    first = await tuner(tmp_path, max_trials=2).search(**DATA)
    again = tuner(tmp_path, max_trials=3)

    assert again.remaining_trials == 1
    result = await again.search(**DATA)

    assert [t.score for t in result.trials[:2]] == [t.score for t in first.trials]
    assert len(result.trials) == 3
    assert again.remaining_trials == 0


async def test_equal_seeds_train_equal_models(tmp_path: Path) -> None:
    """One seed makes proposals and training the same, whatever the number of workers."""
    one = await tuner(tmp_path, project_name="one", max_parallel_trials=1).search(**DATA)
    two = await tuner(tmp_path, project_name="two", max_parallel_trials=2).search(**DATA)

    assert [dict(t.values) for t in one.trials] == [dict(t.values) for t in two.trials]
    assert [t.score for t in one.trials] == pytest.approx([t.score for t in two.trials], rel=1e-5)


async def test_a_changed_range_is_noticed_before_any_trial(tmp_path: Path) -> None:
    """Continuing with another range of a hyperparameter is refused with both ranges."""

    def wider(hp: aiotune.HyperParameters) -> Any:
        hp.Int("units", 2, 128)
        return build(hp)

    await tuner(tmp_path).search(**DATA)

    with pytest.raises(SpaceChanged, match="128"):
        await tuner(tmp_path, wider, max_trials=9).search(**DATA)


async def test_oversized_models_are_rejected_and_the_search_goes_on(tmp_path: Path) -> None:
    """A model over max_model_size is REJECTED, is no failure, and says its size."""
    search = tuner(tmp_path, max_trials=8, max_model_size=200, seed=3)

    result = await search.search(**DATA)

    statuses = {t.status for t in result.trials}
    rejected = [t for t in result.trials if t.status is TrialStatus.REJECTED]
    assert statuses == {TrialStatus.REJECTED, TrialStatus.COMPLETED}
    assert all(t.failure and "max_model_size is 200" in t.failure.message for t in rejected)


async def test_a_function_that_returns_no_model_is_told_before_any_trial(tmp_path: Path) -> None:
    """The probe finds it, and search() raises what KerasTuner raises."""
    with pytest.raises(FatalTypeError, match="valid Keras Model instance"):
        await tuner(tmp_path, lambda hp: hp.Int("units", 1, 2)).search(**DATA)

    journal = (tmp_path / "p/journal/000001.jsonl").read_text()
    assert "trial_created" not in journal


async def test_a_model_that_cannot_be_built_is_told_before_any_trial(tmp_path: Path) -> None:
    """An error before the first hyperparameter would fail every trial."""

    def broken(hp: aiotune.HyperParameters) -> Any:
        raise NameError("units is not defined")

    with pytest.raises(ConfigurationError, match="units is not defined"):
        await tuner(tmp_path, broken).search(**DATA)


async def test_an_objective_that_is_never_measured_ends_the_search(tmp_path: Path) -> None:
    """Without validation data there is no val_loss: said after the first epoch."""
    data = {k: v for k, v in DATA.items() if k != "validation_data"}

    with pytest.raises(FatalValueError, match="validation_data"):
        await tuner(tmp_path).search(**data)


async def test_a_diverging_model_is_a_failed_trial(tmp_path: Path) -> None:
    """NaN is not a score."""
    data = {**DATA, "y": Y * np.nan}

    with pytest.raises(aiotune.errors.SearchAborted, match="nan"):
        await tuner(tmp_path, max_trials=5).search(**data)


async def test_hooks_of_the_tuner_run_where_they_belong(tmp_path: Path) -> None:
    """Epoch and batch hooks run in the worker, trial hooks in the program."""

    class Hooked(aiotune.RandomSearch):
        begun = 0

        def on_trial_begin(self, trial: aiotune.Trial) -> None:
            self.begun += 1

        def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
            print(f"hook: epoch {epoch} of trial {trial.trial_id}")  # noqa: T201 - looked for in the log

        def on_batch_end(self, trial: Any, model: Any, batch: int, logs: Any = None) -> None:
            print(f"hook: batch {batch}")  # noqa: T201 - as above

    search = Hooked(build, "val_loss", 1, seed=0, directory=tmp_path, project_name="p")
    await search.search(**DATA)

    output = (tmp_path / "p/trial_0/attempt-01/output.log").read_text()
    assert search.begun == 1
    assert "hook: epoch 1 of trial 0" in output
    assert "hook: batch 1" in output


async def test_callbacks_are_copied_for_each_execution(tmp_path: Path) -> None:
    """Early stopping in one execution does not stop the next."""
    import keras

    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=1e9)
    search = tuner(tmp_path, max_trials=1, executions_per_trial=2)

    result = await search.search(**{**DATA, "epochs": 5, "callbacks": [stop]})

    (trial,) = result.trials
    assert {(e, s) for e, s, _ in trial.history} == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.tensorflow
async def test_a_dataset_is_made_in_the_worker_by_a_function(tmp_path: Path) -> None:
    """A tf.data.Dataset cannot travel, and says so; a function that returns one can."""

    def dataset() -> Any:
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)

    with pytest.raises(PayloadError, match="function"):
        await tuner(tmp_path).search(dataset(), epochs=1, validation_data=dataset())

    result = await tuner(tmp_path).search(dataset, epochs=1, validation_data=dataset)

    assert {t.status for t in result.trials} == {TrialStatus.COMPLETED}


async def test_workers_are_forked_from_a_process_that_holds_keras(tmp_path: Path) -> None:
    """The self-test of a fork succeeds here, and keras was imported once."""
    await tuner(tmp_path).search(**DATA)

    events = [json.loads(line) for line in (tmp_path / "p/events.log").read_text().splitlines()]
    ready = [e for e in events if e["event"] == "nursery_ready"]
    assert len(ready) == 1
    assert "keras" in ready[0]["imported"]
    assert "nursery_failed" not in {e["event"] for e in events}


async def test_compile_arguments_override_the_models_own(tmp_path: Path) -> None:
    """optimizer, loss and metrics of the tuner replace what build() compiled with."""
    search = tuner(tmp_path, max_trials=1, loss="mae", metrics=["mse"], objective="val_mse")

    result = await search.search(**DATA)

    (trial,) = result.trials
    assert trial.metrics.exists("val_mse")


def test_the_space_summary_leaves_its_process_to_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keras is imported once for summary and search together, and nothing stays afterwards."""
    import asyncio

    search = tuner(tmp_path)

    search.search_space_summary()

    nursery = search._nursery
    assert "Default search space size: 2" in capsys.readouterr().out
    assert nursery is not None
    assert nursery.alive
    asyncio.run(search.search(**DATA))
    log = (tmp_path / "p/events.log").read_text()
    assert "nursery_ready" not in log  # it was ready before
    assert not nursery.alive
