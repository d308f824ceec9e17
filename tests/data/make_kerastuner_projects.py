"""Makes the projects of KerasTuner that the tests of the import read.

Run it with an interpreter that has keras-tuner 1.4.8 and TensorFlow::

    python tests/data/make_kerastuner_projects.py tests/data

It uses KerasTuner as anyone would and keeps what it wrote, except that of all
checkpoints only those named in ``KEPT`` stay.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: TID253 - after the environment; what the projects are made with
import keras_tuner as kt
import numpy as np

KEPT = {
    "kerastuner_random": ("0", "1"),
    "kerastuner_hyperband": ("0000", "0001", "0002", "0003"),
}
"""Trials whose checkpoints are kept."""

X = np.linspace(-1, 1, 16, dtype="float32").reshape(8, 2)
Y = X.sum(axis=1, keepdims=True)


def build(hp: Any) -> Any:
    """Return a model with a conditional hyperparameter and a Choice of booleans."""
    units = hp.Int("units", 2, 8, step=2)
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    layers: list[Any] = [keras.layers.Input((2,)), keras.layers.Dense(units)]
    with hp.conditional_scope("units", [6, 8]):
        if units >= 6:
            layers.append(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1)))
    bias = hp.Choice("bias", [True, False])
    layers.append(keras.layers.Dense(1, use_bias=bool(bias)))
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


class Measured(kt.RandomSearch):  # type: ignore[misc]
    """Returns a number without a model; sometimes fails in one of the ways there are."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the distance from a point, with two metrics beside it."""
        hp = trial.hyperparameters
        x, y = hp.Float("x", 0.0, 1.0), hp.Int("y", 1, 5)
        number = int(trial.trial_id)
        if number == 1:
            raise ValueError(f"y of {y} is not possible")
        if number == 2:
            raise kt.errors.FailedTrialError("marked as failed")
        if number == 3:
            return {"loss": float("nan"), "half": 0.5}
        if number == 6:
            raise KeyboardInterrupt
        half = float("inf") if number == 4 else x / 2
        return {"loss": (x - 0.3) ** 2 + y, "half": half, "never": float("nan")}


class Several(Measured):
    """Returns one result for each of two objectives."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Return both, and their difference, which KerasTuner asks for as well."""
        x = trial.hyperparameters.Float("x", 0.0, 1.0)
        return {"cost": x, "gain": x * x, "multi_objective": x - x * x}


class Gridded(kt.GridSearch):  # type: ignore[misc]
    """A grid over finite hyperparameters, without an objective."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a number; die in the eighth trial."""
        hp = trial.hyperparameters
        a = hp.Choice("a", [1, 2, 3])
        b = hp.Boolean("b")
        c = hp.Int("c", 1, 4, step=2, sampling="log") if a == 2 else 1
        if trial.trial_id == "0007":
            raise KeyboardInterrupt
        return float(a + b + c)


class Modelled(kt.BayesianOptimization):  # type: ignore[misc]
    """A Gaussian process over one number and one name."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a number."""
        hp = trial.hyperparameters
        x, kind = hp.Float("x", -1.0, 1.0), hp.Choice("kind", ["up", "down"])
        return x if kind == "up" else -x * x


def interrupted(tuner: Any, *args: Any, **kwargs: Any) -> None:
    """Search until a trial interrupts it, as from a keyboard."""
    try:
        tuner.search(*args, **kwargs)
    except KeyboardInterrupt:
        return
    raise SystemExit(f"{tuner.project_dir} was to be interrupted, and was not.")


def make(directory: Path) -> None:
    """Write all projects below a directory."""
    keras.utils.set_random_seed(1)  # tests name the trials that were promoted
    where: dict[str, Any] = {"directory": directory, "overwrite": True}
    data: dict[str, Any] = {"validation_data": (X, Y), "verbose": 0}
    kt.RandomSearch(build, "val_loss", 4, seed=5, project_name="kerastuner_random", **where).search(
        X, Y, epochs=2, **data
    )
    kt.Hyperband(
        build, "val_loss", 4, 2, seed=7, project_name="kerastuner_hyperband", **where
    ).search(X, Y, **data)
    stopped = kt.Hyperband(
        build, "val_loss", 4, 2, seed=7, project_name="kerastuner_hyperband_begun", **where
    )
    stopped.oracle.max_trials = 9
    stopped.search(X, Y, **data)
    common = {"max_retries_per_trial": 1, "max_consecutive_failed_trials": None}
    interrupted(
        Measured(
            None, kt.Objective("loss", "min"), 9, seed=3, project_name="kerastuner_failures",
            **common, **where,
        ),
        verbose=0,
    )  # fmt: skip
    objectives = [kt.Objective("cost", "min"), kt.Objective("gain", "max")]
    Several(None, objectives, 3, seed=3, project_name="kerastuner_several", **where).search(
        verbose=0
    )
    interrupted(Gridded(project_name="kerastuner_grid", **where), verbose=0)
    Modelled(
        max_trials=6, num_initial_points=3, seed=1, project_name="kerastuner_bayesian", **where
    ).search(verbose=0)


def strip(directory: Path) -> None:
    """Remove checkpoints that no test needs, and what tracebacks tell of this machine."""
    for project in sorted(directory.glob("kerastuner_*")):
        for trial in sorted(project.glob("trial_*")):
            if trial.name.removeprefix("trial_") not in KEPT.get(project.name, ()):
                (trial / "checkpoint.weights.h5").unlink(missing_ok=True)
            path = trial / "trial.json"
            state = json.loads(path.read_text())
            if state["message"]:
                path.write_text(json.dumps({**state, "message": own_frames(state["message"])}))


def own_frames(traceback: str) -> str:
    """Return a traceback with the frames of this file alone, called ``program.py``."""
    kept, own = [], True
    for line in traceback.splitlines(keepends=True):
        if line.startswith("  File "):
            own = __file__ in line
        elif not line.startswith("    "):
            own = True
        if own:
            kept.append(line.replace(__file__, "program.py"))
    return "".join(kept)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    for old in target.glob("kerastuner_*"):
        shutil.rmtree(old)
    make(target)
    strip(target)
