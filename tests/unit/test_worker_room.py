"""A full disk under a training: it waits, tells, and goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiotune.testing._processes import attempt_order
from aiotune.wire import DiskPaused, FromWorker, Payload, RunAttempt
from aiotune.worker import _room
from aiotune.worker._attempt import Attempt
from aiotune.worker._room import _Output, wait_for_room


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FromWorker]]:
    """Run an attempt, without any wait between two tries; give what it says."""
    monkeypatch.setattr(_room, "_FIRST", 0.0)
    messages: list[FromWorker] = []
    order = attempt_order(tmp_path).order
    assert isinstance(order, RunAttempt)
    attempt = Attempt(order, Payload(None), messages.append)
    yield messages
    attempt.close()


def full(times: int, kind: type[Exception] = OSError) -> Callable[[], Any]:
    """Return a write for which there is no space, so many times."""
    left = [times]

    def write() -> None:
        if left[0]:
            left[0] -= 1
            if kind is OSError:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise kind("Can't close (errno = 28, error message = 'No space left on device')")

    return write


def test_what_finds_space_at_once_says_nothing(said: list[FromWorker], tmp_path: Path) -> None:
    """As nearly always."""
    assert wait_for_room(tmp_path / "a", full(0))
    assert said == []


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_file_waits_for_space_and_the_tuner_hears_of_it(
    said: list[FromWorker],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: type[Exception],
) -> None:
    """Each try is a sign of life; the last message says that it is over."""
    assert wait_for_room(tmp_path / "a", full(3, kind))

    pauses = [m for m in said if isinstance(m, DiskPaused)]
    assert [m.over for m in pauses] == [False, False, False, True]
    assert {m.path for m in pauses} == {str(tmp_path / "a")}
    assert all(m.waited >= 0 for m in pauses)
    assert f"the disk is full, so {tmp_path / 'a'} waits" in capsys.readouterr().err


def test_a_file_does_not_wait_for_ever(
    said: list[FromWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an hour the training goes on without it, and says so."""
    monkeypatch.setattr(_room, "PATIENCE", 0.0)

    assert not wait_for_room(tmp_path / "a", full(10**9))
    assert [m.over for m in said if isinstance(m, DiskPaused)] == [False, True]


def test_another_error_is_the_trials_own(said: list[FromWorker], tmp_path: Path) -> None:
    """A read-only directory does not become writable by waiting."""

    def refused() -> None:
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        wait_for_room(tmp_path / "a", refused)
    assert said == []


def test_outside_a_trial_a_full_disk_is_an_error(tmp_path: Path) -> None:
    """Nobody would be told why the program stands still."""
    with pytest.raises(OSError, match="No space"):
        wait_for_room(tmp_path / "a", full(1))


def test_output_is_lost_on_a_full_disk_and_never_an_error() -> None:
    """``print`` in the midst of a training does not raise; another error does."""
    fd = os.open("/dev/full", os.O_WRONLY)
    read_only = os.open("/dev/null", os.O_RDONLY)
    try:
        with _Output(fd, "wb", closefd=False) as output:
            assert output.write(b"a line\n") == 7
        with (
            _Output(read_only, "wb", closefd=False) as output,
            pytest.raises(OSError, match="Bad file descriptor"),
        ):
            output.write(b"a line\n")
    finally:
        os.close(fd)
        os.close(read_only)
