"""A search on a disk that is full for a while: it pauses, says so, goes on, and has lost nothing."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune import events
from aiotune.errors import StorageError
from aiotune.store import Layout, read_events
from aiotune.store import _space as space_module
from aiotune.store._segment import SegmentFile


class _Search(aiotune.RandomSearch):
    """Counts its trials."""

    ran = 0

    async def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        type(self).ran += 1
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))


class _Disk:
    """The disk of the journal, and of nothing else: full from a write on, until somebody frees space."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, full_after: int) -> None:
        self.writes, self.refused = 0, 0
        self.full_after = full_after
        self.freed = threading.Event()
        real = SegmentFile.append

        def append(file: SegmentFile, data: bytes) -> None:
            self.writes += 1
            if self.writes > self.full_after and not self.freed.is_set():
                self.refused += 1
                real(file, data[:7])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(file, data)

        monkeypatch.setattr(SegmentFile, "append", append)
        monkeypatch.setattr(space_module, "_FIRST", 0.001)
        monkeypatch.setattr(space_module, "_LONGEST", 0.001)
        monkeypatch.setattr(space_module, "LAST_PATIENCE", 0.0)


@pytest.fixture(autouse=True)
def none_ran() -> None:
    _Search.ran = 0


def _tuner(folder: Path) -> _Search:
    return _Search(
        max_trials=12,
        seed=1,
        directory=folder,
        project_name="p",
        executor="inline",
        max_parallel_trials=2,
    )


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


def _logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Layout(folder, "p").events_log.read_text().splitlines()]


async def test_search_pauses_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trial starts meanwhile; afterwards all run, each once, and the log has one line for each turn."""
    disk = _Disk(monkeypatch, full_after=9)
    search = asyncio.ensure_future(_tuner(tmp_path).search(verbose=0))
    await _until(lambda: disk.refused > 3)
    ran = _Search.ran
    await _until(lambda: disk.refused > 20)
    paused = _Search.ran
    disk.freed.set()
    result = await search
    history = await asyncio.to_thread(read_events, Layout(tmp_path, "p"))
    logged = await asyncio.to_thread(_logged, tmp_path)
    told = [line for line in logged if line["event"] in {"disk_full", "disk_has_space"}]

    assert (paused - ran, _Search.ran, len(result.trials)) == (0, 12, 12)
    assert sum(isinstance(e, events.TrialEnded) for e in history) == 12
    assert [line["event"] for line in told] == ["disk_full", "disk_has_space"]
    assert told[0]["reason"] == "No space left on device"
    assert told[0]["path"] == str(Layout(tmp_path, "p").segment(1))


async def test_search_on_a_full_disk_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while it waits for space, it ends; run again, it goes on with what was recorded."""
    disk = _Disk(monkeypatch, full_after=12)
    search = asyncio.ensure_future(_tuner(tmp_path).search(verbose=0))
    await _until(lambda: disk.refused > 3)
    search.cancel()
    with pytest.raises((asyncio.CancelledError, StorageError)):
        await asyncio.wait_for(search, 10)
    disk.freed.set()
    before = await asyncio.to_thread(read_events, Layout(tmp_path, "p"))
    result = await _tuner(tmp_path).search(verbose=0)

    assert not any(isinstance(e, events.SearchEnded) for e in before)
    assert [trial.status for trial in result.trials] == ["COMPLETED"] * 12
