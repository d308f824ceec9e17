"""Callbacks that write files: trials that run side by side must not share these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.testing._processes import attempt_order
from aiotune.trial import Trial
from aiotune.wire import FromWorker, Payload, Report, RunAttempt
from aiotune.worker._attempt import run_attempt
from aiotune.worker._user_callbacks import execution_callbacks

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.random.default_rng(0).random((32, 4), dtype="float32")


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class Stumbles(aiotune.RandomSearch):
    """Breaks at the beginning of an epoch, if it is told to."""

    at: int | None = None

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        if epoch == self.at:
            raise ConnectionResetError("interrupted")


def train(path: Path, callbacks: list[Any], *, at: int | None = None, **changes: Any) -> list[int]:
    """Train for three epochs, and less if it breaks; return the epochs that were reported."""
    tuner = Stumbles(build, "loss", directory=path, executions_per_trial=changes.pop("times", 1))
    tuner.at = at
    objective = [{"name": "loss", "direction": "min"}]
    order = attempt_order(path, objective=objective, **changes).order
    assert isinstance(order, RunAttempt)
    said: list[FromWorker] = []
    data = {"epochs": 3, "verbose": 0, "callbacks": callbacks}
    try:
        run_attempt(order, Payload(tuner, (X, X[:, :1]), data), said.append)
    except ConnectionResetError:
        assert at is not None
    return [message.step for message in said if isinstance(message, Report)]


@pytest.mark.parametrize(
    "later", [{"trial_id": "0001", "index": 1}, {"attempt": 2, "retry": 1}], ids=["other", "retry"]
)
def test_a_backup_is_restored_into_no_other_training(tmp_path: Path, later: Any) -> None:
    """A trial begins with weights of its own, whatever another one is in the middle of."""
    import keras

    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")

    before = train(tmp_path, [backup], at=2)
    after = train(tmp_path, [backup], **later)

    assert before == [0, 1]
    assert after == [0, 1, 2]


def test_every_execution_writes_files_of_its_own(tmp_path: Path) -> None:
    """Checkpoints and logs lie in a directory for each trial and execution, as TensorBoard's do."""
    import keras

    kept = [
        keras.callbacks.ModelCheckpoint(
            tmp_path / "kept" / "{epoch}.keras",
        ),
        keras.callbacks.CSVLogger(tmp_path / "kept" / "log.csv"),
    ]

    train(tmp_path, kept, times=2, trial_id="0003")

    files = sorted(p.relative_to(tmp_path / "kept").as_posix() for p in tmp_path.glob("kept/*/*/*"))
    assert "0003/execution0/log.csv" in files
    assert "0003/execution1/log.csv" in files
    assert "0003/execution0/1.keras" in files
    assert any(name.startswith("0003/execution1/") and name.endswith(".keras") for name in files)
    assert kept[1].filename == str(tmp_path / "kept" / "log.csv"), "the user's own is left alone"


def test_places_that_are_not_on_this_machine_stay_where_they_are() -> None:
    """An address keeps its two slashes."""
    import keras

    given = [
        keras.callbacks.ModelCheckpoint("gs://mine/kept/m.keras"),
        keras.callbacks.TensorBoard("gs://mine/board"),
    ]

    checkpoint, board, *_ = execution_callbacks(
        given, Trial(aiotune.HyperParameters(), trial_id="7"), 0
    )

    assert checkpoint.filepath == "gs://mine/kept/7/execution0/m.keras"
    assert board.log_dir == "gs://mine/board/7/execution0"
