"""The log: what reaches the file, the people and the program's own structlog."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from aiotune import _log_file, logs
from aiotune._log_file import LogFile
from aiotune._writer import Writer
from aiotune.errors import ProjectError
from aiotune.logs import open_log, sentence
from aiotune.status import TrialStatus


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class InlineWriter(Writer[None]):
    """Writes where it is called, so that it can be seen at which call."""

    def wake(self) -> None:
        """Write at once."""
        self._write()


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the log written without a thread."""
    monkeypatch.setattr(logs, "Writer", InlineWriter)


def written(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    path = tmp_path / "events.log"
    log = open_log(path)
    log.info("event", **fields)
    log.close()
    (line,) = path.read_bytes().splitlines()
    assert line.isascii()
    return dict(json.loads(line))


def test_a_line_begins_with_time_level_and_event(tmp_path: Path) -> None:
    """A reader of the file sees when and what before the details."""
    record = written(tmp_path, trial="0007", score=0.5)

    assert list(record) == ["timestamp", "level", "event", "trial", "score"]
    assert record["timestamp"].endswith("+00:00")
    assert tuple(record.values())[1:] == ("info", "event", "0007", 0.5)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (np.float64(0.25), 0.25),
        (np.float32(0.25), 0.25),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (np.array([1, 2]), "[1 2]"),
        (float("nan"), "nan"),
        (np.float64("-inf"), "-inf"),
        (2**70, hex(2**70)),
        (TrialStatus.FAILED, "FAILED"),
        (b"\x00", "b'\\x00'"),
        (ValueError("a\nb"), "ValueError: a\\nb"),
        ("\x1b[2J\u202e\udcff", "\\x1b[2J\\u202e\\udcff"),
        ("日本", "日本"),
        ((1, [2.0, "x"]), [1, [2.0, "x"]]),
        ({"a\n": {1: np.float32(1)}}, {"a\\n": {"1": 1.0}}),
        (Unprintable(), "<Unprintable: RuntimeError when shown>"),
    ],
)
def test_any_value_becomes_safe_json(tmp_path: Path, value: object, expected: object) -> None:
    """Numbers of any library, odd floats, control characters and broken objects all arrive."""
    assert expected == written(tmp_path, value=value)["value"]


def test_huge_values_are_cut(tmp_path: Path) -> None:
    """Of a long text the end is kept; an integer no decimal fits and a loop come to an end."""
    loop: list[object] = []
    loop.append(loop)
    record = written(tmp_path, text="a" * 9000 + "the end", number=10**6000, loop=loop)

    assert record["text"].startswith("...a")
    assert record["text"].endswith("the end")
    assert len(record["text"]) <= 4096
    assert len(record["number"]) <= 4096
    assert record["loop"] == [[[["..."]]]]


def test_lines_wait_for_a_flush(tmp_path: Path, inline: None) -> None:
    """An ordinary event costs no system call; flush() writes all in order."""
    path = tmp_path / "events.log"
    log = open_log(path)
    for number in range(3):
        log.info("event", number=number)

    assert path.read_bytes() == b""
    log.flush()
    assert [line["number"] for line in lines_of(path)] == [0, 1, 2]
    log.close()


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_warning_is_written_at_once(tmp_path: Path, level: str, inline: None) -> None:
    """With all that waited before it: it may be the last word."""
    path = tmp_path / "events.log"
    log = open_log(path)
    log.info("before")
    getattr(log, level)("trouble")

    assert [line["event"] for line in lines_of(path)] == ["before", "trouble"]
    log.close()


def test_many_lines_are_written_unasked(tmp_path: Path, inline: None) -> None:
    """What waits in memory is bounded."""
    path = tmp_path / "events.log"
    log = open_log(path)
    for _ in range(100):
        log.info("event", text="a" * 1000)

    assert path.stat().st_size >= 64 << 10
    log.close()


def test_events_before_a_file_is_named_reach_it(tmp_path: Path) -> None:
    """Nothing that is said before the project is open is lost."""
    path = tmp_path / "events.log"
    log = open_log(None)
    log.warning("early")
    log.attach(LogFile(path))
    log.info("late")
    log.close()

    assert [line["event"] for line in lines_of(path)] == ["early", "late"]


def test_a_log_without_a_file_does_not_grow(tmp_path: Path) -> None:
    """Of all events of a search in memory only the last ones are kept."""
    path = tmp_path / "events.log"
    log = open_log(None)
    for number in range(5000):
        log.info("event", number=number)
    log.attach(LogFile(path))
    log.close()

    kept = [line["number"] for line in lines_of(path)]
    assert 1000 <= len(kept) < 2500
    assert kept == list(range(5000 - len(kept), 5000))


def test_a_full_file_makes_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: None
) -> None:
    """A file beyond the limit is kept as .1, the one before it goes, no line is lost between."""
    monkeypatch.setattr(_log_file, "_ROTATE", 200)
    path = tmp_path / "events.log"
    log = open_log(path)
    for number in range(7):
        log.info("event", number=number)
        log.flush()
    log.close()

    old = path.with_name("events.log.1")
    assert [line["number"] for file in (old, path) for line in lines_of(file)][-4:] == [3, 4, 5, 6]
    assert {"events.log", "events.log.1"} == {file.name for file in tmp_path.iterdir()}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_private_and_appended_to(tmp_path: Path) -> None:
    """Only its owner can read it; a continued search adds to it."""
    path = tmp_path / "events.log"
    for event in ("first", "second"):
        log = open_log(path)
        log.info(event)
        log.close()

    assert path.stat().st_mode & 0o777 == 0o600
    assert [line["event"] for line in lines_of(path)] == ["first", "second"]


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """Nobody can make the log append to another file; the sentence names the path."""
    target = tmp_path / "precious"
    target.write_text("mine")
    path = tmp_path / "events.log"
    path.symlink_to(target)

    with pytest.raises(ProjectError, match=r"The log .*events\.log cannot be opened"):
        open_log(path)
    assert target.read_text() == "mine"


def test_a_failing_disk_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of the file is told to people once, and later events go on to them."""
    shown: list[str] = []
    log = open_log(tmp_path / "events.log", show=shown.append)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "write", fail)
    log.warning("first")
    log.warning("second")
    log.close()

    told = [text for text in shown if "Input/output error" in text]
    assert len(told) == 1
    assert told[0].endswith("the search goes on without it.")
    assert {"first", "second"} == set(shown) - set(told)


def test_a_full_disk_costs_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: None
) -> None:
    """What found no space is written when there is some, also the rest of a half line."""
    path = tmp_path / "events.log"
    log = open_log(path)
    real, taken = os.write, iter([20, 0, 15, 0])

    def write(fd: int, data: bytes) -> int:
        size = next(taken, len(data))
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[:size])

    monkeypatch.setattr(os, "write", write)
    for number in range(3):
        log.warning("event", number=number)
    log.close()

    assert [line["number"] for line in lines_of(path)] == [0, 1, 2]


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take a part of the bytes; the rest follows."""
    path = tmp_path / "events.log"
    log = open_log(path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:7])))
    log.info("event", number=1)
    log.close()

    assert [line["number"] for line in lines_of(path)] == [1]


def test_people_see_what_concerns_them() -> None:
    """Warnings and the events with a sentence are shown; the others are for the file."""
    shown: list[str] = []
    log = open_log(None, show=shown.append)
    log.info(logs.ATTEMPT_STARTED, trial="0001")
    log.info(logs.PROJECT_RESUMED, trials=12, unfinished=3)
    log.warning("unnamed", why="a reason", nothing=None)

    assert shown == [
        "Continuing the project: 12 trials, 3 of them unfinished.",
        "unnamed  why=a reason",
    ]


def test_a_sentence_is_safe_for_a_terminal() -> None:
    """A user's exception text can neither move the cursor nor begin a new line."""
    fields = {"trial": "0007", "error": "ValueError: \x1b[2J\nTrial 0008 complete"}

    assert (
        sentence(logs.TRIAL_FAILED, fields)
        == "Trial 0007 failed: ValueError: \\x1b[2J\\nTrial 0008 complete"
    )


@pytest.mark.parametrize("event", sorted(logs._SENTENCES))
def test_a_sentence_survives_missing_fields(event: str) -> None:
    """Every sentence can be formed from nothing."""
    assert "{" not in sentence(event, {})


def test_a_broken_sink_is_left_out(tmp_path: Path) -> None:
    """A terminal that hangs up is noted once in the file, and the search goes on."""
    calls: list[str] = []

    def broken(text: str) -> None:
        calls.append(text)
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    path = tmp_path / "events.log"
    log = open_log(path, show=broken)
    log.warning("first")
    log.warning("second")
    log.close()

    assert calls == ["first"]
    assert [line["event"] for line in lines_of(path)] == ["first", logs.SINK_FAILED, "second"]


def test_bound_fields_join_each_event(tmp_path: Path) -> None:
    """A part of the search can name its trial once."""
    path = tmp_path / "events.log"
    log = open_log(path)
    log.bind(trial="0007").warning("event", step=1)
    log.close()

    (line,) = lines_of(path)
    assert (line["trial"], line["step"]) == ("0007", 1)


@pytest.fixture
def captured() -> Iterator[structlog.testing.LogCapture]:
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()


def test_a_program_that_configured_structlog_gets_the_events(
    captured: structlog.testing.LogCapture,
) -> None:
    """With safe values, at their level, under the same names."""
    open_log(None).warning("event", trial="a\nb")

    assert captured.entries == [{"event": "event", "log_level": "warning", "trial": "a\\nb"}]


def test_a_broken_processor_of_the_program_is_left_out(tmp_path: Path) -> None:
    """The program's logging may fail; the search says so and goes on."""

    def broken(*_: object) -> dict[str, object]:
        raise KeyError

    path = tmp_path / "events.log"
    structlog.configure(processors=[broken])
    try:
        log = open_log(path)
        log.warning("first")
        log.warning("second")
        log.close()
    finally:
        structlog.reset_defaults()

    assert [line["event"] for line in lines_of(path)] == ["first", logs.SINK_FAILED, "second"]


def test_nothing_is_configured_globally(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither structlog nor logging is touched, and nothing is printed unasked."""
    handlers = list(logging.getLogger().handlers)
    open_log(None).error("event")

    assert not structlog.is_configured()
    assert handlers == logging.getLogger().handlers
    assert capfd.readouterr() == ("", "")


def test_event_names_are_distinct() -> None:
    """Each constant names one event, and each sentence belongs to a constant."""
    names = [v for k, v in vars(logs).items() if k.isupper() and not k.startswith("_")]

    assert len(set(names)) == len(names)
    assert set(logs._SENTENCES) <= set(names)
