"""A hook before each proposal, which KerasTuner calls ``pre_create_trial``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from aiotune.hyperparameters import HyperParameters
from aiotune.trial import Trial
from aiotune.tuners import RandomSearch


class Telling(RandomSearch):
    """Notes how many trials there are when it is asked."""

    def __init__(self, directory: Path, **kwargs: Any) -> None:
        hp = HyperParameters()
        hp.Int("a", 1, 100)
        super().__init__(
            max_trials=3, hyperparameters=hp, directory=directory, executor="inline", **kwargs
        )
        self.told: list[int] = []

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> float:
        """Return its number."""
        return float(trial.values["a"])


async def test_it_is_called_before_each_trial_is_proposed(tmp_path: Path) -> None:
    """And before the oracle answers that there is none; a coroutine is awaited."""

    class Waiting(Telling):
        async def pre_create_trial(self) -> None:
            await checkpoint()
            self.told.append(len(self.oracle.trials))

    tuner = Waiting(tmp_path, max_parallel_trials=1)
    await tuner.search(verbose=0)

    assert tuner.told == [0, 1, 2, 3]


async def test_its_error_ends_the_search(tmp_path: Path) -> None:
    """As one of the oracle would; the trials so far are kept."""

    class Refusing(Telling):
        def pre_create_trial(self) -> None:
            if self.oracle.trials:
                raise LookupError("no more data")

    tuner = Refusing(tmp_path, max_parallel_trials=1)
    with pytest.raises(LookupError, match="no more data"):
        await tuner.search(verbose=0)

    assert list(tuner.oracle.trials) == ["0"]
