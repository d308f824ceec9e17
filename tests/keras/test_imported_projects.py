"""Models of a project of KerasTuner: loaded from its checkpoints, and trained further."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.migration import from_keras_tuner

pytestmark = pytest.mark.keras

DATA = Path(__file__).parent.parent / "data"
X = np.linspace(-1, 1, 16, dtype="float32").reshape(8, 2)
Y = X.sum(axis=1, keepdims=True)


def build(hp: aiotune.HyperParameters) -> Any:
    """Return what the program built that made the projects."""
    import keras

    units = hp.Int("units", 2, 8, step=2)
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    layers: list[Any] = [keras.layers.Input((2,)), keras.layers.Dense(units)]
    with hp.conditional_scope("units", [6, 8]):
        if units >= 6:
            layers.append(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1)))
    bias = hp.Choice("bias", [True, False])
    layers.append(keras.layers.Dense(1, use_bias=bias))
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


async def test_an_imported_model_predicts_as_it_did(tmp_path: Path) -> None:
    """Its loss is the score that KerasTuner wrote down; no trial is run for it."""
    tuner = aiotune.RandomSearch(build, "val_loss", 4, directory=tmp_path, project_name="new")
    await from_keras_tuner(tuner, DATA / "kerastuner_random", booleans=["bias"])
    trials = {trial.trial_id: trial for trial in tuner.results().trials}

    losses = {name: tuner.load_model(trials[name]).evaluate(X, Y, verbose=0)[0] for name in "01"}

    assert losses == {name: pytest.approx(trials[name].score, rel=1e-4) for name in "01"}


async def test_hyperband_goes_on_with_the_weights_of_the_import(tmp_path: Path) -> None:
    """The best of the first round trains its second epoch, and not its first again."""
    old = Path(shutil.copytree(DATA / "kerastuner_hyperband", tmp_path / "old"))
    state = json.loads((old / "oracle.json").read_text())
    state["start_order"] = state["end_order"] = ["0000", "0001", "0002", "0003"]
    (old / "oracle.json").write_text(json.dumps(state))
    for number in range(4, 15):
        shutil.rmtree(old / f"trial_{number:04d}")
    tuner = aiotune.Hyperband(
        build, "val_loss", 4, 2, directory=tmp_path, project_name="new", weigh=False
    )
    tuner.oracle.max_trials = 5
    await from_keras_tuner(tuner, old, booleans=["bias"])

    result = await tuner.search(X, Y, validation_data=(X, Y), verbose=0)

    promoted = result.trials[4]
    assert (promoted.parent_id, promoted.budget["epochs"], promoted.status) == (
        "0002",
        2,
        "COMPLETED",
    )
    assert [(execution, step) for execution, step, _ in promoted.history] == [(0, 1)]
    assert promoted.values == result.trials[2].values
    assert promoted.score is not None
    assert result.trials[2].score is not None
    assert promoted.score < result.trials[2].score
