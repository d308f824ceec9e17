"""The first build of a model, where its process was a fork that the back end refused to work in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiotune._clock import SystemClock
from aiotune._devices import Wanted, find_resources
from aiotune._offload import InlineOffloader
from aiotune._probing import probe_space
from aiotune.errors import ConfigurationError
from aiotune.executors import Script, SimulatedExecutor
from aiotune.failures import FailureKind, TrialFailure
from aiotune.oracles import RandomSearchOracle
from aiotune.scheduler._inquiry import PROBING, Inquirer
from aiotune.store import Layout
from aiotune.wire import Failed, Probed

pytestmark = pytest.mark.virtual_time

RESOURCES = find_resources(Wanted(max_parallel_trials=1, devices=[]))


class _Silent:
    """Takes what is logged."""

    def info(self, event: str, **fields: Any) -> None:
        """Take it."""


def _failed(kind: FailureKind) -> Failed:
    failure = TrialFailure(kind=kind, type="RuntimeError", message="no CUDA in a fork")
    return Failed(failure=failure, values={}, entries=[])


async def _probe(directory: Path, *answers: Any) -> int:
    """Probe with workers that answer so; return how many were asked."""
    waiting = list(answers)
    executor = SimulatedExecutor(lambda _: Script(says=[(0.1, waiting.pop(0))]))
    oracle = RandomSearchOracle(max_trials=1)
    inquirer = Inquirer(executor, PROBING, SystemClock(), InlineOffloader())
    await probe_space(oracle, inquirer, RESOURCES, Layout(directory, "p"), _Silent())
    return len(executor.launched)


async def test_refused_fork_is_probed_again(tmp_path: Path) -> None:
    """The next process is no fork, and what the first one said is of no account."""
    refused, built = _failed(FailureKind.FORK_REFUSED), Probed(entries=[], values={})

    assert await _probe(tmp_path, refused, built) == 2


async def test_model_that_cannot_be_built_is_probed_once(tmp_path: Path) -> None:
    """It would fail in every process; so does one that is refused twice."""
    with pytest.raises(ConfigurationError, match="no CUDA in a fork"):
        await _probe(tmp_path, _failed(FailureKind.ERROR))
    refused = _failed(FailureKind.FORK_REFUSED)
    with pytest.raises(ConfigurationError, match="no CUDA in a fork"):
        await _probe(tmp_path, refused, refused)
