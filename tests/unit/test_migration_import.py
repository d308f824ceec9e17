"""A project of KerasTuner becomes one of aiotune, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from aiotune.errors import ConfigurationError, ProjectError, SpaceChanged
from aiotune.hyperparameters import HyperParameters
from aiotune.migration import import_keras_tuner
from aiotune.objective import Objective
from aiotune.oracles import GridSearchOracle, RandomSearchOracle
from aiotune.status import TrialStatus

DATA = Path(__file__).parent.parent / "data"


def fingerprint(directory: Path) -> dict[str, tuple[str, int]]:
    """Return contents and times of all files below a directory."""
    return {
        str(path.relative_to(directory)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


async def test_the_source_stays_as_it_is(tmp_path: Path) -> None:
    """Not a byte of it changes, nor does a file appear there."""
    before = await asyncio.to_thread(fingerprint, DATA / "kerastuner_random")

    made = await import_keras_tuner(DATA / "kerastuner_random", tmp_path)

    assert await asyncio.to_thread(fingerprint, DATA / "kerastuner_random") == before
    assert made.project_dir == tmp_path / "kerastuner_random"
    assert (made.counts, made.oracle) == ({"COMPLETED": 4}, "RandomSearchOracle")
    assert made.objective == Objective("val_loss", "min")
    assert [path.name for path in tmp_path.iterdir()] == ["kerastuner_random"]


async def test_trials_are_what_they_were(tmp_path: Path) -> None:
    """Ids, values, scores, metrics, the best, and what was tried already."""
    await import_keras_tuner(DATA / "kerastuner_random", tmp_path, "new")
    oracle = RandomSearchOracle("val_loss", max_trials=5)

    async with oracle.open(tmp_path, "new"):
        fifth = await oracle.create_trial("w")
        states = {name: trial.get_state() for name, trial in oracle.trials.items()}
        best = oracle.best_trial

    for name in "0123":
        path = DATA / "kerastuner_random" / f"trial_{name}" / "trial.json"
        old = json.loads(path.read_text())
        assert states[name]["hyperparameters"]["values"] == old["hyperparameters"]["values"]
        assert states[name]["metrics"] == old["metrics"]
        assert (states[name]["score"], states[name]["best_step"]) == (
            old["score"],
            old["best_step"],
        )
    assert best is not None
    assert best.score == min(states[name]["score"] for name in "0123")
    assert (fifth.trial_id, oracle.seed) == ("4", 5)
    assert dict(fifth.values) not in [states[n]["hyperparameters"]["values"] for n in "0123"]


async def test_checkpoints_come_along(tmp_path: Path) -> None:
    """Byte by byte, with all that a trial has left; its old state does not."""
    made = await import_keras_tuner(DATA / "kerastuner_random", tmp_path, "new")
    old, new = DATA / "kerastuner_random" / "trial_0", made.project_dir / "trial_0"

    names = sorted(path.name for path in new.iterdir())
    assert names == ["build_config.json", "checkpoint.weights.h5"]
    assert all((new / name).read_bytes() == (old / name).read_bytes() for name in names)


async def test_what_was_interrupted_runs_first(tmp_path: Path) -> None:
    """Then the grid goes on behind the combinations that were tried, with new ones alone."""
    await import_keras_tuner(DATA / "kerastuner_grid", tmp_path, "new")
    oracle = GridSearchOracle()
    tried = []

    async with oracle.open(tmp_path, "new"):
        first = await oracle.create_trial("w")
        assert (first.trial_id, dict(first.values)) == ("0007", {"a": 2, "b": True, "c": 4})
        while first.status is not TrialStatus.STOPPED:
            tried.append(first.trial_id)
            await oracle.update_trial(first.trial_id, {"default_objective": 1.0})
            await oracle.end_trial(first)
            first = await oracle.create_trial("w")
        combinations = [tuple(sorted(t.values.items())) for t in oracle.trials.values()]

    # Both values of a that do not ask for c are covered by trials without it.
    assert tried == ["0007", "0008", "0009", "0010", "0011", "0012", "0013"]
    assert len(set(combinations)) == len(combinations)
    assert {dict(c)["a"] for c in combinations[8:]} == {3}


async def test_retries_go_on_counting(tmp_path: Path) -> None:
    """A trial that had failed twice fails for good when three runs were allowed."""
    old = await asyncio.to_thread(shutil.copytree, DATA / "kerastuner_failures", tmp_path / "old")
    path = Path(old) / "trial_1" / "trial.json"
    path.write_text(path.read_text().replace('"FAILED"', '"INVALID"'))
    await import_keras_tuner(old, tmp_path, "new")
    oracle = RandomSearchOracle(Objective("loss", "min"), max_trials=7, max_retries_per_trial=2)

    async with oracle.open(tmp_path, "new"):
        again = await oracle.create_trial("w")
        again.status = TrialStatus.INVALID
        await oracle.end_trial(again)
        running = await oracle.create_trial("w")

    assert (again.trial_id, again.status) == ("1", TrialStatus.FAILED)
    assert running.trial_id == "6"


async def test_another_algorithm_is_refused_afterwards(tmp_path: Path) -> None:
    """What the files show is what goes on; it can be told when importing."""
    source = DATA / "kerastuner_random"
    await import_keras_tuner(source, tmp_path, "shown")
    await import_keras_tuner(source, tmp_path, "told", oracle="grid")

    with pytest.raises(SpaceChanged, match="RandomSearchOracle"):
        async with GridSearchOracle("val_loss").open(tmp_path, "shown"):
            pass
    async with GridSearchOracle("val_loss").open(tmp_path, "told") as oracle:
        assert len(oracle.trials) == 4


async def test_few_trials_that_may_be_of_a_grid_or_random_are_told(tmp_path: Path) -> None:
    """One trial of default values begins both; who names the algorithm is told nothing."""
    source = tmp_path / "begun"
    await asyncio.to_thread(shutil.copytree, DATA / "kerastuner_grid", source)
    oracle = source / "oracle.json"
    state = json.loads(oracle.read_text())
    first, *others = state["start_order"]
    state["start_order"] = state["end_order"] = [first]
    oracle.write_text(json.dumps(state))
    for name in others:
        await asyncio.to_thread(shutil.rmtree, source / f"trial_{name}")

    guessed = await import_keras_tuner(source, tmp_path, "guessed")
    told = await import_keras_tuner(source, tmp_path, "told", oracle="random")

    told_apart = [note for note in guessed.notes if "--oracle random" in note]
    assert (guessed.oracle, len(told_apart)) == ("GridSearchOracle", 1)
    assert (told.oracle, [n for n in told.notes if "--oracle" in n]) == ("RandomSearchOracle", [])


async def test_booleans_let_the_program_that_lists_them_go_on(tmp_path: Path) -> None:
    """Without them the program's space is another one, and says so."""
    source, hp = DATA / "kerastuner_random", HyperParameters()
    hp.Choice("bias", [True, False])
    await import_keras_tuner(source, tmp_path, "numbers")
    made = await import_keras_tuner(source, tmp_path, "booleans", booleans=["bias"])
    numbers = RandomSearchOracle("val_loss", hyperparameters=hp)
    booleans = RandomSearchOracle("val_loss", hyperparameters=hp)

    with pytest.raises(SpaceChanged, match=r"among \[1, 0\].*among \[True, False\]"):
        async with numbers.open(tmp_path, "numbers"):
            pass
    async with booleans.open(tmp_path, "booleans"):
        assert {type(trial.values["bias"]) for trial in booleans.trials.values()} == {bool}
    assert made.notes == ()


async def test_nothing_is_written_where_something_is(tmp_path: Path) -> None:
    """A project, an empty directory, a file and a broken link are all left alone."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("mine")
    (tmp_path / "c").symlink_to("nowhere")

    for name in "abc":
        with pytest.raises(ProjectError, match="is there already"):
            await import_keras_tuner(DATA / "kerastuner_random", tmp_path, name)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
    assert list((tmp_path / "a").iterdir()) == []


async def test_a_refused_project_leaves_nothing(tmp_path: Path) -> None:
    """What is wrong is found before the first byte is written."""
    with pytest.raises(ConfigurationError):
        await import_keras_tuner(DATA / "kerastuner_several", tmp_path / "into")
    with pytest.raises(ConfigurationError):
        await import_keras_tuner(DATA / "kerastuner_random", tmp_path / "into", objective="loss")

    assert list(tmp_path.iterdir()) == []


async def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full halfway through the checkpoints."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shutil, "copytree", full)

    with pytest.raises(ProjectError, match=r"No space left on device. Nothing was left there"):
        await import_keras_tuner(DATA / "kerastuner_random", tmp_path, "new")
    assert list(tmp_path.iterdir()) == []


async def test_who_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that copies has ended before what it wrote is removed, and copies no more."""
    begun, go_on = threading.Event(), threading.Event()
    copytree, copied = shutil.copytree, []

    def slow(source: Path, target: Path, **kwargs: Any) -> None:
        begun.set()
        assert go_on.wait(60)
        copytree(source, target, **kwargs)
        copied.append(target.name)

    monkeypatch.setattr(shutil, "copytree", slow)
    importing = asyncio.ensure_future(
        import_keras_tuner(DATA / "kerastuner_random", tmp_path, "new")
    )
    assert await asyncio.to_thread(begun.wait, 60)

    importing.cancel()
    await checkpoint()
    go_on.set()
    await asyncio.wait([importing])

    assert importing.cancelled()
    assert copied == ["trial_0"]
    assert list(tmp_path.iterdir()) == []
