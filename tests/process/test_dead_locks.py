"""Builds that dead-lock in native code, with the interpreter held, in real processes."""

from __future__ import annotations

import ctypes
import json
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import aiotune
from aiotune import _search
from aiotune.errors import ConfigurationError
from aiotune.oracles import RandomSearchOracle
from aiotune.scheduler import Deadlines


def dead_lock() -> None:
    """Lock a mutex of pthreads twice, without letting the interpreter go; another thread wants it."""
    threading.Thread(target=threading.Event().wait, args=(0.01,), daemon=True).start()
    libc = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


class Once(aiotune.HyperModel):
    """Dead-locks in the first process that builds it, before or after it has asked for anything."""

    def __init__(self, marker: Path, *, asks_first: bool) -> None:
        super().__init__()
        self.marker, self.asks_first = marker, asks_first

    def build(self, hp: Any) -> Any:
        if self.asks_first:
            hp.Float("x", 0.0, 1.0)
        if not self.marker.exists():
            self.marker.touch()
            dead_lock()
        return hp.Float("x", 0.0, 1.0)


class Builds(aiotune.BaseTuner):
    """Its models are numbers."""

    def run_trial(self, trial: aiotune.Trial, *args: Any, **kwargs: Any) -> float:
        assert self.hypermodel is not None
        return float(self.hypermodel.build(trial.hyperparameters))


def tuner(path: Path, *, asks_first: bool) -> Builds:
    oracle = RandomSearchOracle(aiotune.Objective("score", "min"), max_trials=2, seed=0)
    model = Once(path / "marker", asks_first=asks_first)
    return Builds(oracle, model, directory=path, project_name="p", max_parallel_trials=1)


def logged(path: Path, event: str) -> list[dict[str, Any]]:
    lines = (path / "p" / "events.log").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_search, "PROBING", Deadlines(silent=2.0, total=60.0))


@pytest.mark.usefixtures("soon")
async def test_a_search_goes_on_with_what_a_probe_had_asked_for(tmp_path: Path) -> None:
    """The hyperparameters are known, where the threads were is said, and the process is gone."""
    result = await tuner(tmp_path, asks_first=True).search(verbose=0)

    assert [str(trial.status) for trial in result.trials] == ["COMPLETED"] * 2
    (told,) = logged(tmp_path, "probe_stalled")
    assert (told["hyperparameters"], told["ended"]) == (1, True)
    assert "dead_lock" in told["stacks"]
    assert "dead_lock" in Path(told["log"]).read_text()


@pytest.mark.usefixtures("soon")
async def test_a_probe_that_asked_for_nothing_is_an_error(tmp_path: Path) -> None:
    """Every trial would wait in the same place; the sentence has the numbers, and the stacks come along."""
    with pytest.raises(ConfigurationError, match="no sign of life for 2 s") as raised:
        await tuner(tmp_path, asks_first=False).search(verbose=0)

    assert "probe.log" in str(raised.value)
    assert any("dead_lock" in note for note in raised.value.__notes__)


async def test_a_stop_in_the_middle_of_a_probe_ends_it_at_once(tmp_path: Path) -> None:
    """Neither its deadline nor a grace is waited for."""
    marker, began = tmp_path / "marker", 0.0
    async with anyio.create_task_group() as group:
        group.start_soon(partial(tuner(tmp_path, asks_first=True).search, verbose=0))
        with anyio.fail_after(60):
            while not marker.exists():  # noqa: ASYNC110 - a process makes it
                await anyio.sleep(0.05)
        began = time.monotonic()
        group.cancel_scope.cancel()

    assert time.monotonic() - began < 5
