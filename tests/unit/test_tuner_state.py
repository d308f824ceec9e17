"""The state that a subclass of a tuner keeps with its project."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.errors import ConfigurationError, ProjectError
from aiotune.oracles import RandomSearchOracle


class Mine(aiotune.BaseTuner):
    """A tuner with something to remember."""

    memory: Any = None

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        return 1.0

    def get_state(self) -> dict[str, Any]:
        return {"memory": self.memory}

    def set_state(self, state: dict[str, Any]) -> None:
        self.memory = state["memory"]


def mine(path: Path) -> Mine:
    return Mine(RandomSearchOracle(), directory=path, project_name="p")


def test_a_saved_state_comes_back(tmp_path: Path) -> None:
    """save() and reload() are each other's inverse, and leave one file."""
    first, second = mine(tmp_path), mine(tmp_path)
    first.memory = [1, "two"]

    first.save()
    second.reload()

    assert second.memory == [1, "two"]
    assert [p.name for p in (tmp_path / "p").iterdir()] == ["tuner0.json"]


def test_a_state_that_is_no_json_is_refused(tmp_path: Path) -> None:
    """The error names the method and what it may return."""
    tuner = mine(tmp_path)
    tuner.memory = object()

    with pytest.raises(ConfigurationError, match=r"Mine\.get_state\(\) .* JSON"):
        tuner.save()

    assert not list((tmp_path / "p").glob("*"))


def test_a_damaged_state_is_told_with_its_file(tmp_path: Path) -> None:
    """Somebody cut the file: which one, and that trials do not depend on it."""
    tuner = mine(tmp_path)
    tuner.save()
    (tmp_path / "p" / "tuner0.json").write_text('{"memo')

    with pytest.raises(ProjectError, match=r"tuner0\.json"):
        tuner.reload()


def test_a_project_without_a_state_is_loaded_all_the_same(tmp_path: Path) -> None:
    """There is nothing to give back."""
    tuner = mine(tmp_path)

    tuner.reload()

    assert tuner.memory is None


def test_a_state_that_was_saved_first_is_no_foreign_file(tmp_path: Path) -> None:
    """Under an id of one's own as well; another program's file is one."""
    tuner = Mine(
        RandomSearchOracle("loss", max_trials=1),
        directory=tmp_path,
        project_name="p",
        tuner_id="mine",
        executor="inline",
        max_parallel_trials=1,
    )
    tuner.memory = 3
    tuner.save()

    asyncio.run(tuner.search(verbose=0))

    assert len(tuner.oracle.trials) == 1
    other = Mine(RandomSearchOracle("loss"), directory=tmp_path, project_name="q", tuner_id="mine")
    other.save()
    other.tuner_id = "another"
    with pytest.raises(ProjectError, match=r"not a project of aiotune; it holds mine\.json"):
        asyncio.run(other.search(verbose=0))
