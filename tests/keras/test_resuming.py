"""A training that was interrupted goes on from its last saved epoch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune.testing._processes import attempt_order
from aiotune.wire import Done, FromWorker, Payload, Report, RunAttempt
from aiotune.worker._attempt import run_attempt

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

HERE = Path(__file__).parent
X = np.random.default_rng(0).random((64, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)
# One batch an epoch, so that no shuffling makes a difference.
DATA: dict[str, Any] = {"batch_size": 64, "shuffle": False, "verbose": 0, "epochs": 5}


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


class Stumbles(aiotune.RandomSearch):
    """Breaks at the beginning of an epoch of an execution, if it is told to."""

    at: tuple[int, int] | None = None
    begun = 0

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        self.begun += epoch == 0
        if self.at == (self.begun - 1, epoch):
            raise ConnectionResetError("interrupted")


def train(path: Path, *, at: tuple[int, int] | None = None, **kwargs: Any) -> tuple[Any, list[Any]]:
    """Run one attempt in this process; return its result, or the error, and what it reported."""
    order_changes = {k: kwargs.pop(k) for k in ("attempt", "retry") if k in kwargs}
    tuner = Stumbles(
        kwargs.pop("hypermodel", build),
        "val_loss",
        **{"resume_every": 0, "directory": path, **kwargs},
    )
    tuner.at = at
    order = attempt_order(
        path, objective=[{"name": "val_loss", "direction": "min"}], **order_changes
    ).order
    assert isinstance(order, RunAttempt)
    said: list[FromWorker] = []
    payload = Payload(tuner, (X, Y), {**DATA, "validation_data": (X, Y)})
    try:
        done: Any = run_attempt(order, payload, said.append)
    except ConnectionResetError as error:
        done = error
    return done, [m for m in said if isinstance(m, Report)]


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """Weights, optimizer, best epoch and reports are those of five epochs in a row."""
    whole, reports = train(tmp_path / "whole")

    broken, before = train(tmp_path / "broken", at=(0, 3))
    done, again = train(tmp_path / "broken", attempt=2)

    assert isinstance(broken, ConnectionResetError)
    assert isinstance(done, Done)
    assert [r.step for r in before] == [0, 1, 2]
    assert [r.step for r in again] == [0, 1, 2, 3, 4]
    assert done.best_step == whole.best_step
    assert done.metrics == pytest.approx(whole.metrics, rel=1e-4)
    assert again[4].metrics == pytest.approx(reports[4].metrics, rel=1e-4)
    left = [p.name for p in (tmp_path / "broken" / "trial_0000").glob("resume-*")]
    assert left == [], "the state is removed when the execution has ended"


def test_executions_that_were_finished_are_not_trained_again(tmp_path: Path) -> None:
    """Interrupted in the second of two executions: the first one's result is kept."""
    whole, _ = train(tmp_path / "whole", executions_per_trial=2)

    train(tmp_path / "broken", at=(1, 2), executions_per_trial=2)
    done, again = train(tmp_path / "broken", attempt=2, executions_per_trial=2)

    assert {r.execution for r in again} == {1}
    assert [r.step for r in again] == [0, 1, 2, 3, 4]
    assert [e["val_loss"] for e in done.executions] == pytest.approx(
        [e["val_loss"] for e in whole.executions], rel=1e-4
    )


@pytest.mark.parametrize(
    "change",
    [{"retry": 1}, {"resume_every": None}],
    ids=["a failed trial begins anew", "nothing was to be saved"],
)
def test_what_does_not_go_on_begins_at_its_first_epoch(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """A trial that failed gets other random numbers; one may do without resuming at all."""
    train(tmp_path, at=(0, 3), **{k: v for k, v in change.items() if k != "retry"})

    done, again = train(tmp_path, attempt=2, **change)

    assert isinstance(done, Done)
    assert [r.step for r in again] == [0, 1, 2, 3, 4]
    assert all(r.batches for r in again), "trained, not told again"


def test_a_damaged_state_is_not_used(tmp_path: Path) -> None:
    """A byte that is wrong makes the checksum wrong; the training begins anew and succeeds."""
    train(tmp_path, at=(0, 3))
    (state,) = tmp_path.glob("trial_0000/resume-*.h5")
    data = bytearray(state.read_bytes())
    data[len(data) // 2] ^= 1
    state.write_bytes(data)

    done, again = train(tmp_path, attempt=2)

    assert isinstance(done, Done)
    assert all(r.batches for r in again)


def test_a_program_with_a_fit_of_its_own_begins_anew(tmp_path: Path) -> None:
    """Nobody knows whether it would heed initial_epoch."""

    class Own(aiotune.HyperModel):
        def build(self, hp: aiotune.HyperParameters) -> Any:
            return build(hp)

        def fit(self, hp: aiotune.HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
            return model.fit(*args, **kwargs)

    train(tmp_path, at=(0, 3), hypermodel=Own())

    assert not list(tmp_path.glob("trial_0000/resume*"))


def test_a_search_that_is_killed_goes_on_within_its_trials(tmp_path: Path) -> None:
    """After kill -9 in the middle of an epoch: the second run trains what is left of it, and no more."""
    command = [sys.executable, str(HERE / "search_to_resume.py"), str(tmp_path)]
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    log = tmp_path / "p" / "trial_0" / "attempt-01" / "output.log"
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        while "Epoch 4/" not in (log.read_text() if log.exists() else ""):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()

    subprocess.run([*command, "on"], env=env, stdin=subprocess.DEVNULL, check=True, timeout=120)

    second = (tmp_path / "p" / "trial_0" / "attempt-02" / "output.log").read_text()
    assert "Epoch 1/" not in second
    assert "Epoch 3/" not in second
    assert "Epoch 8/8" in second
    assert not list(tmp_path.glob("p/trial_0/resume*"))
