"""What SklearnTuner does in the program, without a search."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune import Objective
from aiotune.errors import ConfigurationError
from aiotune.objective import DefaultObjective
from aiotune.oracles import RandomSearchOracle
from aiotune.sklearn_tuner import SklearnTuner
from aiotune.worker._sklearn import Rows


def build(hp: aiotune.HyperParameters) -> Any:
    raise NotImplementedError


def tuner(path: Path, oracle: Any = None) -> SklearnTuner:
    return SklearnTuner(
        oracle or RandomSearchOracle(max_trials=3), build, directory=path, project_name="p"
    )


def test_an_oracle_without_an_objective_gets_the_score(tmp_path: Path) -> None:
    """To be maximised; also for what ranks its trials. Its seed and its space stay."""
    hp = aiotune.HyperParameters()
    hp.Int("a", 1, 3)
    oracle = RandomSearchOracle(max_trials=3, seed=5, hyperparameters=hp)

    tuner(tmp_path, oracle)

    assert oracle.objective == Objective("score", "max")
    assert oracle._book.state.minimize is False
    assert oracle.seed == 5
    assert [entry.name for entry in oracle.hyperparameters.space] == ["a"]


def test_an_objective_that_was_chosen_stays(tmp_path: Path) -> None:
    """Also if it is the score itself."""
    oracle = RandomSearchOracle(objective=Objective("score", "max"), max_trials=3)

    tuner(tmp_path, oracle)
    oracle.set_default_objective(Objective("loss", "min"))

    assert oracle.objective == Objective("score", "max")


async def test_trials_that_were_compared_without_an_objective_stay_so() -> None:
    """Their order would be turned around."""
    oracle = RandomSearchOracle(max_trials=3)
    async with oracle.open():
        await oracle.create_trial("w")

        with pytest.raises(ConfigurationError, match="has 1 trials"):
            oracle.set_default_objective(Objective("score", "max"))

    assert isinstance(oracle.objective, DefaultObjective)


def test_data_travels_once(tmp_path: Path) -> None:
    """As the arguments of search(), not also within the tuner."""
    searching = tuner(tmp_path)
    searching._rows = Rows(bytearray(10_000))

    assert searching.__getstate__()["_rows"] is None
    assert len(pickle.dumps(searching)) < 5_000


def test_no_gpu_is_taken_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Estimators of scikit-learn run on the CPU; those of other libraries may not."""
    oracle = RandomSearchOracle(max_trials=3)

    assert tuner(tmp_path).devices == []
    assert SklearnTuner(oracle, build, devices=None, directory=tmp_path).devices is None


def test_without_a_completed_trial_there_is_nothing_to_refit(tmp_path: Path) -> None:
    """And no best model either."""
    searching = tuner(tmp_path)

    with pytest.raises(ConfigurationError, match="nothing to refit"):
        searching.refit([[1.0]], [1.0])
    assert searching.get_best_models() == []
