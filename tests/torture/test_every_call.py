"""Each call that a search makes of its disk fails in turn: nothing is lost, nothing is silent, nothing hangs."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.errors import AiotuneError
from aiotune.events import TrialEnded
from aiotune.store import Layout, read_events
from aiotune.store import _journal as journal_module
from aiotune.store import _space as space_module

_CALLS = ("open", "write", "fsync", "fdatasync", "ftruncate", "rename", "mkdir", "unlink")
_PRODUCT = str(Path(aiotune.__file__).parent)
_TRIALS = 4


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests the time until a full disk is tried again; let segments be short."""
    monkeypatch.setattr(space_module, "_FIRST", 0.0001)
    monkeypatch.setattr(space_module, "_LONGEST", 0.0001)
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 1200)


class _Disk:
    """Counts the product's calls in a directory, and lets one of them fail.

    Args:
        folder: Calls elsewhere are not counted.
        at: Which call fails, from 1.
        code: The error's number.
    """

    def __init__(self, folder: Path, at: int, code: int) -> None:
        self.calls, self.failed = 0, ""
        self._folder, self._at, self._code = str(folder), at, code

    @contextmanager
    def failing(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
            yield

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            caller = frame.f_code.co_filename
            # The log is no record, writes on the loop, and has tests of its own for this.
            counts = caller.startswith(_PRODUCT) and not caller.endswith("/logs.py")
            if counts and self._is_here(args[0], kwargs):
                self.calls += 1
                if self.calls == self._at:
                    self.failed = f"{name} in {Path(frame.f_code.co_filename).name}"
                    if name == "write":  # a part of it arrives
                        real(args[0], bytes(args[1])[: len(args[1]) // 2])
                    raise OSError(self._code, os.strerror(self._code))
            return real(*args, **kwargs)

        return call

    def _is_here(self, what: Any, kwargs: dict[str, Any]) -> bool:
        fd = what if isinstance(what, int) else kwargs.get("dir_fd", kwargs.get("src_dir_fd"))
        place = f"/proc/self/fd/{fd}" if fd is not None else os.fspath(what)
        if place.startswith("/proc/self/fd/"):  # a folder that is open, and a name in it
            place = str(Path("/".join(place.split("/")[:5])).readlink())
        return place.startswith(self._folder)


def _search(folder: Path, told: dict[str, float]) -> aiotune.RandomSearch:
    class Search(aiotune.RandomSearch):
        """Remembers what it was told of ended trials, and keeps a state of its own."""

        def run_trial(self, trial: aiotune.Trial, **kwargs: Any) -> float:
            return float(trial.hyperparameters.Float("x", 0.0, 1.0))

        def get_state(self) -> dict[str, Any]:
            return {"told": len(told)}

        def on_trial_end(self, trial: aiotune.Trial) -> None:
            if trial.score is not None:
                told[trial.trial_id] = trial.score

    return Search(max_trials=_TRIALS, seed=3, directory=folder, project_name="p", executor="inline")


def _run(folder: Path, at: int, code: int, figures: dict[str, Any]) -> int:
    """Search with a call that fails, then again without; count what is wrong."""
    told: dict[str, float] = {}
    disk = _Disk(folder, at, code)
    raised: BaseException | None = None
    with disk.failing():
        try:
            asyncio.run(asyncio.wait_for(_search(folder, told).search(verbose=0), 30))
        except TimeoutError:
            figures["hung"].append(disk.failed)
        except (AiotuneError, OSError) as error:
            raised = error
    figures["runs"] += 1
    figures["ended_by_it"] += raised is not None
    if raised is not None and not isinstance(raised, AiotuneError):
        figures["not_a_sentence"].append(f"{disk.failed}: {raised!r}")
    layout = Layout(folder, "p")
    result = asyncio.run(asyncio.wait_for(_search(folder, {}).search(verbose=0), 30))
    ends = [event for event in read_events(layout) if isinstance(event, TrialEnded)]
    figures["lost"] += [
        f"{disk.failed}: {trial}"
        for trial, score in told.items()
        if [e.score for e in ends if e.trial_id == trial] != [score]
    ]
    if result.counts != {"COMPLETED": _TRIALS} or len(ends) != _TRIALS:
        figures["wrong"].append(f"{disk.failed}: {result.counts}")
    return disk.calls


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.torture)])
def test_whichever_call_of_a_search_fails_it_goes_on_or_can_go_on(
    tmp_path: Path, figures: dict[str, Any], code: int, stride: int
) -> None:
    """What a program was told of ended trials is in the journal, once, and the next search finishes."""
    figures |= {"runs": 0, "ended_by_it": 0, "hung": [], "lost": [], "wrong": []}
    figures["not_a_sentence"] = []
    calls = _run(tmp_path / "none", 10**9, code, figures)
    for at in range(1, calls + 1, stride):
        _run(tmp_path / str(at), at, code, figures)

    figures["calls"] = calls
    assert calls > 50
    bad = ("hung", "lost", "wrong", "not_a_sentence")
    assert {name: figures[name] for name in bad} == {name: [] for name in bad}
