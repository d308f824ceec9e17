"""What people and the log are told while a search runs."""

from __future__ import annotations

import asyncio
import errno
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiotune import _progress, logs
from aiotune._clock import ManualClock
from aiotune._devices import Place
from aiotune._gpu import Lease
from aiotune._progress import Progress
from aiotune._search import _Search
from aiotune.display import RunningTrial, Snapshot
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.oracles import Oracle
from aiotune.scheduler import Need, Running
from aiotune.status import TrialStatus
from aiotune.store import AttemptPaths
from aiotune.trial import Trial


@dataclass
class Trials:
    """As much of an oracle as is shown."""

    trials: dict[str, Trial] = field(default_factory=dict)
    best_trial: Trial | None = None
    objective: Objective = field(default_factory=lambda: Objective("val_loss", "min"))
    max_trials: int | None = 5


@dataclass
class Screen:
    """A display that remembers."""

    shown: list[object] = field(default_factory=list)

    def start(self) -> None:
        self.shown.append("start")

    def update(self, snapshot: Snapshot) -> None:
        self.shown.append(snapshot)

    def line(self, text: str) -> None:
        self.shown.append(text)

    def stop(self) -> None:
        self.shown.append("stop")

    async def aclose(self, seconds: float) -> None:
        self.shown.append("closed")


def made(trial_id: str, status: TrialStatus, score: float | None = None) -> Trial:
    hp = HyperParameters()
    hp.Int("units", 32, 64, default=48)
    trial = Trial(hp, trial_id, status)
    trial.score, trial.attempts = score, 1
    if status in {TrialStatus.FAILED, TrialStatus.REJECTED, TrialStatus.CANCELLED}:
        trial.failure = TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="too small")
    return trial


def progress_of(oracle: Trials, *, verbose: int = 2, clock: ManualClock | None = None) -> Progress:
    return Progress(cast("Oracle", oracle), verbose=verbose, clock=clock or ManualClock())


def printed(progress: Progress, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed, when all of it is."""
    asyncio.run(progress.aclose())
    return capsys.readouterr().out


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(_progress, "make_display", lambda *_, **__: screen)
    return screen


def test_a_completed_trial_is_a_line_with_the_best_so_far(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its number, how long it took, its score, and what it is up against."""
    oracle = Trials(best_trial=made("0001", TrialStatus.COMPLETED, 0.125))

    progress = progress_of(oracle)
    progress.ended(made("0003", TrialStatus.COMPLETED, 0.5), 65.0)

    assert printed(progress, capsys) == (
        "Trial 0003 complete [00h 01m 05s] val_loss: 0.5, best 0.125 (trial 0001)\n"
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (TrialStatus.FAILED, "Trial 0003 failed with units=48: ValueError: too small\n"),
        (TrialStatus.REJECTED, "Trial 0003 was rejected with units=48: ValueError: too small\n"),
        (TrialStatus.CANCELLED, ""),
        (TrialStatus.INVALID, ""),
    ],
)
def test_a_trial_without_a_result_is_told_once(
    status: TrialStatus, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its reason; what will run again is no news here."""
    progress = progress_of(Trials())
    progress.ended(made("0003", status), 1.0)

    assert expected == printed(progress, capsys)


def test_a_completed_trial_that_diverged_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """An accuracy stays a number when the loss is none: which metrics, since when, with which values."""
    trial = made("0003", TrialStatus.COMPLETED, 0.5)
    trial.history = [
        (0, 0, {"loss": 1e30, "val_loss": math.nan, "val_accuracy": 0.5}),
        (0, 1, {"loss": math.inf, "val_loss": math.nan, "val_accuracy": 0.5}),
    ]

    progress = progress_of(Trials())
    progress.ended(trial, 5.0)

    assert printed(progress, capsys) == (
        "Trial 0003 complete [00h 00m 05s] val_loss: 0.5; "
        "not finite from epoch 1: val_loss, loss with units=48\n"
    )


async def test_a_silent_search_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither results nor failures nor warnings, with verbose=0."""
    progress = progress_of(Trials(), verbose=0)
    with progress.showing({}):
        progress.ended(made("0001", TrialStatus.COMPLETED, 0.5), 1.0)
        progress.ended(made("0002", TrialStatus.FAILED), 1.0)
        progress.log.warning("trouble")
        progress.tick()
    await progress.aclose()

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("status", "level", "event"),
    [
        (TrialStatus.COMPLETED, "info", logs.TRIAL_COMPLETED),
        (TrialStatus.FAILED, "warning", logs.TRIAL_FAILED),
        (TrialStatus.REJECTED, "warning", logs.TRIAL_REJECTED),
        (TrialStatus.CANCELLED, "info", logs.TRIAL_CANCELLED),
    ],
)
async def test_the_log_has_each_end_with_its_facts(
    tmp_path: Path, status: TrialStatus, level: str, event: str
) -> None:
    """Values are nested, so that no hyperparameter's name can pass for a field."""
    score = 0.5 if status is TrialStatus.COMPLETED else None
    trial = made("0003", status, score)
    trial.devices = ["GPU-aaaa"]
    progress = progress_of(Trials(), verbose=0)
    async with progress.logging(tmp_path / "events.log"):
        progress.ended(trial, 1.23456)

    (line,) = lines_of(tmp_path / "events.log")
    del line["timestamp"]
    assert line == {
        "level": level,
        "event": event,
        "trial": "0003",
        "score": score,
        "best_step": 0,
        "seconds": 1.235,
        "hp": {"units": 48},
        "attempts": 1,
        "device": "GPU-aaaa",
        "error": None if score else "ValueError: too small",
    }


def test_a_moment_counts_what_has_ended_before_and_since(screen: Screen) -> None:
    """A continued search begins with the trials it had; what runs again is not counted.

    A rejected trial does not count against the budget, so there will be one more.
    """
    before = [
        made("0001", TrialStatus.COMPLETED, 0.5),
        made("0002", TrialStatus.FAILED),
        made("0003", TrialStatus.RUNNING),
    ]
    oracle = Trials({trial.trial_id: trial for trial in before}, best_trial=before[0])
    clock = ManualClock()
    progress = progress_of(oracle, clock=clock)
    with progress.showing({}):
        clock.advance(12.0)
        progress.tick()
        progress.ended(made("0003", TrialStatus.REJECTED), 1.0)
        progress.ended(made("0004", TrialStatus.CANCELLED), 1.0)
        progress.tick()

    first, last = (entry for entry in screen.shown if isinstance(entry, Snapshot))
    assert first == Snapshot((), 2, 1, 5, "val_loss", 0.5, "0001", 12.0)
    assert (last.ended, last.failed, last.budget) == (3, 2, 6)


def test_a_moment_shows_what_runs(screen: Screen, tmp_path: Path) -> None:
    """Where, for how long, how far, and with which values."""
    clock = ManualClock()
    clock.advance(100.0)
    trial = made("0007", TrialStatus.RUNNING)
    running = Running(
        trial=trial,
        place=Place("GPU 0 Fake", ("GPU-aaaa",)),
        lease=Lease(0, "0007", ("GPU-aaaa",), 1),
        need=Need(),
        attempt=2,
        attempt_id="a",
        paths=AttemptPaths(*[str(tmp_path)] * 3),
        started=70.0,
        step=4,
        metrics={"val_loss": 0.25},
    )
    progress = progress_of(Trials(), clock=clock)
    with progress.showing({"0007": running}):
        progress.tick()

    (shown,) = (entry for entry in screen.shown if isinstance(entry, Snapshot))
    assert shown.running == (
        RunningTrial("0007", 2, "GPU 0 Fake", 30.0, 4, {"val_loss": 0.25}, {"units": 48}),
    )
    assert (shown.best_score, shown.best_trial) == (None, None)


def test_the_terminal_is_given_back_whatever_happens(screen: Screen) -> None:
    """An error of the search leaves no half-drawn table."""
    with pytest.raises(KeyError), progress_of(Trials()).showing({}):
        raise KeyError

    assert screen.shown == ["start", "stop"]


async def test_the_log_is_closed_whatever_happens(tmp_path: Path) -> None:
    """What was said before the error is in the file."""
    path = tmp_path / "events.log"
    progress = progress_of(Trials(), verbose=0)
    progress.log.info("early")

    async def fails() -> None:
        async with progress.logging(path) as log:
            log.info("late")
            raise KeyError

    with pytest.raises(KeyError):
        await fails()

    assert [line["event"] for line in lines_of(path)] == ["early", "late"]


async def test_a_tick_has_the_log_written(tmp_path: Path) -> None:
    """A reader of the file is never far behind."""
    path = tmp_path / "events.log"
    progress = progress_of(Trials(), verbose=0)
    async with progress.logging(path) as log:
        log.info("event")
        progress.tick()
        while not path.read_bytes():  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0)

        assert [line["event"] for line in lines_of(path)] == ["event"]


async def test_a_lost_terminal_is_noted_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hung-up terminal ends the showing, once, and not the search."""

    class HungUp:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("sys.stdout", HungUp())
    path = tmp_path / "events.log"
    progress = progress_of(Trials())
    async with progress.logging(path):
        progress.ended(made("0001", TrialStatus.COMPLETED, 0.5), 1.0)
        await progress.aclose()
        progress.ended(made("0002", TrialStatus.FAILED), 1.0)

    events = [line["event"] for line in lines_of(path)]
    assert events == [logs.TRIAL_COMPLETED, logs.SINK_FAILED, logs.TRIAL_FAILED]


def test_a_name_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The objective's name is somebody's text, too."""
    oracle = Trials(objective=Objective("a\x1b[2J\nTrial 0009 complete", "min"))

    progress = progress_of(oracle)
    progress.ended(made("0001", TrialStatus.COMPLETED, 0.5), 1.0)

    (line,) = printed(progress, capsys).splitlines()
    assert "a\\x1b[2J\\nTrial 0009 complete: 0.5" in line


def test_a_pruned_trial_is_said_to_have_stopped_early(capsys: pytest.CaptureFixture[str]) -> None:
    """It has a score like any other, and did not train to its end."""
    trial = made("0003", TrialStatus.COMPLETED, 0.5)
    trial.stop_reason = "worse than the others"

    progress = progress_of(Trials(best_trial=None))
    progress.ended(trial, 65.0)

    assert printed(progress, capsys) == "Trial 0003 stopped early [00h 01m 05s] val_loss: 0.5\n"


def test_an_interrupted_search_does_not_count_rejected_trials() -> None:
    """Of a budget of five no six are finished: another trial takes the place of a rejected one."""
    done = [made(str(i), TrialStatus.COMPLETED, 0.5) for i in range(4)]
    trials = [*done, made("4", TrialStatus.REJECTED), made("5", TrialStatus.FAILED)]
    search = SimpleNamespace(
        oracle=Trials({trial.trial_id: trial for trial in trials}),
        layout=SimpleNamespace(project_dir=Path("p")),
    )

    assert _Search._kept(cast("_Search", search)) == "5 of 5 trials are finished and kept in p"
