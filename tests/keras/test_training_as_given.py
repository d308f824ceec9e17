"""What ``search()`` and ``compile()`` were given reaches Keras, and its numbers reach the trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.errors import FatalValueError
from aiotune.testing._processes import attempt_order
from aiotune.wire import Done, Payload, Report, RunAttempt
from aiotune.worker._attempt import run_attempt
from aiotune.worker._checkpoints import load_weights

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.random.default_rng(0).random((32, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


class Keeps(aiotune.HyperModel):
    """Keeps what Keras returned."""

    returned: Any = None

    def build(self, hp: aiotune.HyperParameters) -> Any:
        return build(hp)

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        self.returned = model.fit(*args, **kwargs)
        return self.returned


def run(tuner: aiotune.Tuner, path: Path, *args: Any, **kwargs: Any) -> tuple[Done, list[Report]]:
    """Run one attempt in this process; return its result and what it reported."""
    order = attempt_order(path, objective=[{"name": "val_loss", "direction": "min"}]).order
    assert isinstance(order, RunAttempt)
    said: list[Any] = []
    done = run_attempt(order, Payload(tuner, args, {"verbose": 0, **kwargs}), said.append)
    return done, [message for message in said if isinstance(message, Report)]


def tuner_of(path: Path, hypermodel: Any, **kwargs: Any) -> aiotune.RandomSearch:
    return aiotune.RandomSearch(hypermodel, "val_loss", max_trials=1, directory=path, **kwargs)


# ── validation now and then ──────────────────────────────────────────────


# The validation gets worse with each epoch.
WORSE: dict[str, Any] = {"validation_data": (X, -Y), "validation_freq": 2, "epochs": 5}


def test_epochs_without_validation_change_no_metric_step_or_weights(tmp_path: Path) -> None:
    """With validation_freq=2 the best is the second epoch: its loss, its number, its weights."""
    hypermodel = Keeps()

    done, reports = run(tuner_of(tmp_path, hypermodel), tmp_path, X, Y, **WORSE)

    seen = hypermodel.returned.history
    assert len(seen["val_loss"]) == 2, "Keras has validated twice in five epochs"
    assert done.metrics == {"loss": seen["loss"][1], "val_loss": seen["val_loss"][0]}
    assert done.best_step == 1
    assert [r.step for r in reports if "val_loss" in r.metrics] == [1, 3]
    model = build(aiotune.HyperParameters())
    load_weights(model, tmp_path / "trial_0000")
    assert model.evaluate(X, -Y, verbose=0) == pytest.approx(done.metrics["val_loss"], rel=1e-4)


@pytest.mark.parametrize("freq", [2, [2, 4]])
def test_an_objective_that_first_epochs_do_not_have_is_awaited(tmp_path: Path, freq: Any) -> None:
    """A search with validation_freq is not refused for the first epoch's logs."""
    data = {**WORSE, "validation_freq": freq}

    done, _ = run(tuner_of(tmp_path, build), tmp_path, X, Y, **data)

    assert done.best_step == 1


def test_an_objective_that_a_validation_does_not_have_is_refused(tmp_path: Path) -> None:
    """After the epoch at whose end Keras would have validated, not after the last."""
    with pytest.raises(FatalValueError, match="'val_loss' is not among the metrics"):
        run(tuner_of(tmp_path, build), tmp_path, X, Y, validation_freq=2, epochs=1000)


# ── several trainings in one trial ───────────────────────────────────────


class Folds(aiotune.RandomSearch):
    """Trains once for each of three targets, as one would for folds."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> Any:
        targets = (Y, 10 * Y, 100 * Y)
        return [
            result
            for y in targets
            for result in super(Folds, self).run_trial(
                trial, X, y, validation_data=(X, y), **kwargs
            )
        ]


def test_each_call_of_the_built_in_run_trial_is_a_training(tmp_path: Path) -> None:
    """What the first has saved to go on from is not the result of the second."""
    folds = Folds(build, "val_loss", max_trials=1, directory=tmp_path, resume_every=0)

    done, reports = run(folds, tmp_path, epochs=3)

    scores = [execution["val_loss"] for execution in done.executions]
    assert scores[0] < scores[1] < scores[2]
    assert [r.step for r in reports] == [0, 1, 2] * 3


# ── arguments ────────────────────────────────────────────────────────────


def test_arguments_of_fit_may_be_given_by_position(tmp_path: Path) -> None:
    """Callbacks among them, which are given to fit with those of the trial."""
    import keras

    stop = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=1)

    done, reports = run(tuner_of(tmp_path, build), tmp_path, X, Y, 16, 9, 0, [stop], 0.5)

    assert [(r.step, r.batches) for r in reports] == [(0, 1), (1, 1)]
    assert done.metrics["val_loss"] == min(r.metrics["val_loss"] for r in reports)


def two_outputs(hp: aiotune.HyperParameters) -> Any:
    import keras

    def own(y: Any, predicted: Any) -> Any:
        return keras.ops.mean(keras.ops.abs(y - predicted))

    inputs = keras.Input((4,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd",
        {"a": own, "b": lambda y, predicted: keras.ops.mean(y - predicted)},
        loss_weights={"a": 1.0, "b": 0.0},
        weighted_metrics={"b": ["mae"]},
        run_eagerly=True,
    )
    return model


def test_what_a_tuner_does_not_override_stays_as_the_model_was_compiled(tmp_path: Path) -> None:
    """Losses that are functions of the user's own, their weights, and how the model runs."""
    tuner = tuner_of(tmp_path, two_outputs, metrics={"a": ["mse"]})
    y = {"a": Y, "b": 1000 * Y}

    done, _ = run(tuner, tmp_path, X, y, validation_data=(X, y), epochs=1)

    assert done.metrics["val_loss"] == pytest.approx(done.metrics["val_a_loss"], rel=1e-5)
    assert {"val_a_mse", "val_b_mae"} <= done.metrics.keys()


def test_a_model_is_loaded_with_the_budget_that_it_was_built_with(tmp_path: Path) -> None:
    """build() reads tuner/epochs for a best model as it did in the trial."""
    seen: list[Any] = []

    def asks(hp: aiotune.HyperParameters) -> Any:
        seen.append(hp.values.get("tuner/epochs"))
        return build(hp)

    tuner = tuner_of(tmp_path, asks)
    trial = aiotune.Trial(aiotune.HyperParameters(), trial_id="0000")
    trial.budget = {"epochs": 7}
    checkpoint = tuner.get_trial_dir("0000") / "checkpoint.weights.h5"
    checkpoint.parent.mkdir(parents=True)
    build(aiotune.HyperParameters()).save_weights(checkpoint)

    tuner.load_model(trial)

    assert seen == [7]
