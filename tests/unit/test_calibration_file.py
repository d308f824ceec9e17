"""What a user's searches taught, kept in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiotune import events
from aiotune._calibration_file import UserCalibration
from aiotune.memory import CalibrationKey
from aiotune.testing import RecordingLog

KEY = CalibrationKey("s", "jax", "Fake", "float32")


def seen(peak: int = 2 << 30) -> events.MemoryObserved:
    return events.MemoryObserved(
        space="s",
        backend="jax",
        device="Fake",
        dtype="float32",
        predicted=1 << 30,
        peak=peak,
        context=500 << 20,
    )


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    """Two searches add up; directories are made as needed; nothing is left beside the file."""
    kept, log = UserCalibration(tmp_path / "deep/calibration.json"), RecordingLog()

    kept.add([seen()] * 3, log)
    kept.add([seen()] * 2, log)

    calibration = kept.read(log)
    assert calibration.count(KEY) == 5
    assert calibration.ratio(KEY) == pytest.approx(2.0 * 1.05)
    assert calibration.context("jax", "Fake") == 500 << 20
    assert [path.name for path in kept.path.parent.iterdir()] == ["calibration.json"]
    assert log.events == []


def test_a_missing_file_is_no_event(tmp_path: Path) -> None:
    """Nothing is known then, and nothing is wrong."""
    log = RecordingLog()

    assert UserCalibration(tmp_path / "none.json").read(log).count(KEY) == 0
    assert log.events == []


def test_a_damaged_file_costs_no_search(tmp_path: Path) -> None:
    """It is said, and done without."""
    path, log = tmp_path / "calibration.json", RecordingLog()
    path.write_text("{nonsense")

    assert UserCalibration(path).read(log).count(KEY) == 0
    (event,) = log.named("calibration_unreadable")
    assert event["path"] == str(path)


def test_a_place_that_cannot_be_written_costs_no_search(tmp_path: Path) -> None:
    """A file where a directory should be: one line in the log."""
    (tmp_path / "file").write_text("")
    log = RecordingLog()

    UserCalibration(tmp_path / "file" / "calibration.json").add([seen()], log)

    assert log.named("calibration_unreadable")


def test_the_file_is_where_data_of_users_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_DATA_HOME is honoured."""
    monkeypatch.setenv("XDG_DATA_HOME", "/data")

    assert UserCalibration().path == Path("/data/aiotune/calibration.json")
