"""What a training writes: checked before it is loaded, private, and no reason to fail on a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aiotune
from aiotune import _disk
from aiotune.errors import CheckpointDamaged
from aiotune.testing._processes import attempt_order
from aiotune.wire import DiskPaused, Done, FromWorker, Payload, Report, RunAttempt
from aiotune.worker import _room
from aiotune.worker._attempt import run_attempt
from aiotune.worker._checkpoints import continue_from, load_weights

# Keras on TensorFlow hands numpy variables in a way that numpy 2 has deprecated.
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")]

X = np.random.default_rng(0).random((32, 4), dtype="float32")
Y = X.sum(axis=1, keepdims=True)


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


class Stumbles(aiotune.RandomSearch):
    """Breaks at the beginning of an epoch, if it is told to."""

    at: int | None = None

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        if epoch == self.at:
            raise ConnectionResetError("interrupted")


def train(path: Path, *, at: int | None = None, **changes: Any) -> tuple[Done, list[FromWorker]]:
    """Run one attempt of three epochs in this process; return its result and what it said."""
    tuner = Stumbles(build, "loss", directory=path, resume_every=0)
    tuner.at = at
    facts = {"objective": [{"name": "loss", "direction": "min"}], **changes}
    order = attempt_order(path, **facts).order
    assert isinstance(order, RunAttempt)
    said: list[FromWorker] = []
    data: dict[str, Any] = {"epochs": 3, "verbose": 0}
    return run_attempt(order, Payload(tuner, (X, Y), data), said.append), said


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Give a switch that lets files of some name find no space, so many times."""
    monkeypatch.setattr(_room, "_FIRST", 0.0)
    real = os.rename

    def fill(name: str, times: int) -> None:
        left = [times]

        def rename(source: str, target: str, **fds: int) -> None:
            if name in target and left[0]:
                left[0] -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(source, target, **fds)

        monkeypatch.setattr(os, "rename", rename)

    return fill


@pytest.fixture
def no_mask() -> Iterator[None]:
    """Let every file be as open as it was made."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_mask")
def test_weights_are_recorded_and_private(tmp_path: Path) -> None:
    """Each file that others may load comes with its SHA-256, is 0600 whatever the umask, and loads."""
    done, _ = train(tmp_path, budget={"epochs": 3})
    folder = tmp_path / "trial_0000"

    assert sorted(done.files) == [
        "build_config.json",
        "checkpoint.weights.h5",
        "state-0.weights.h5",
    ]
    assert done.files == {name: _disk.sha256_of(folder / name) for name in done.files}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    load_weights(build(aiotune.HyperParameters()), folder, done.files)
    assert continue_from(build(aiotune.HyperParameters()), folder, 0, done.files)


@pytest.mark.parametrize("name", ["checkpoint.weights.h5", "build_config.json"])
def test_a_flipped_bit_is_told_and_not_loaded(tmp_path: Path, name: str) -> None:
    """Which file it is, that it is not loaded, and what to do."""
    done, _ = train(tmp_path)
    flip(tmp_path / "trial_0000" / name)

    with pytest.raises(CheckpointDamaged, match=rf"{name} is not what its trial has left.*Restore"):
        load_weights(build(aiotune.HyperParameters()), tmp_path / "trial_0000", done.files)


def test_a_damaged_state_is_not_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A promoted trial trains its first epochs again, and says why."""
    done, _ = train(tmp_path, budget={"epochs": 3})
    flip(tmp_path / "trial_0000" / "state-0.weights.h5")
    model = build(aiotune.HyperParameters())

    assert not continue_from(model, tmp_path / "trial_0000", 0, done.files)
    assert not model.built
    assert "begins at its first epoch" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["resume.json", "resume-0-1.weights.h5"])
def test_a_damaged_resumption_begins_anew(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever of the two files is damaged: all epochs are trained, and it is said."""
    with pytest.raises(ConnectionResetError):
        train(tmp_path, at=2)
    flip(tmp_path / "trial_0000" / name)
    _, said = train(tmp_path, attempt=2)

    assert [m.step for m in said if isinstance(m, Report)] == [0, 1, 2]
    assert all(m.batches for m in said if isinstance(m, Report)), "trained, not told again"
    assert "the training begins anew" in capsys.readouterr().err


def test_weights_wait_for_space(tmp_path: Path, full: Callable[[str, int], None]) -> None:
    """The training goes on when there is some, with the weights of its best epoch on the disk."""
    full("checkpoint", 4)
    done, said = train(tmp_path)

    assert [m.over for m in said if isinstance(m, DiskPaused)] == [False] * 4 + [True]
    assert "checkpoint.weights.h5" in done.files
    assert [p.name for p in tmp_path.rglob(".*")] == []


def test_weights_that_never_find_space_are_left_out(
    tmp_path: Path, full: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial has its score, and no weights of an earlier epoch that would be taken for its best."""
    monkeypatch.setattr(_room, "PATIENCE", 0.0)
    (tmp_path / "trial_0000").mkdir()
    (tmp_path / "trial_0000" / "checkpoint.weights.h5").write_text("older")
    full("checkpoint", 10**6)
    done, _ = train(tmp_path)

    assert sorted(done.files) == ["build_config.json"]
    assert done.metrics["loss"] >= 0.0


def test_what_only_an_interruption_would_need_waits_for_nothing(
    tmp_path: Path, full: Callable[[str, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A state to resume from is left out with a line in the output, and nothing else changes."""
    full("resume", 10**6)
    done, said = train(tmp_path)

    assert [m for m in said if isinstance(m, DiskPaused)] == []
    assert "checkpoint.weights.h5" in done.files
    assert "was not saved to go on from" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "trial_0000").glob("*resume*")] == []
