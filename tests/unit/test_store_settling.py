"""What is read at the end of a journal is durable before anything follows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aiotune.events import TrialRequeued
from aiotune.store import _recovery
from aiotune.store._codec import encode_line


def batch(first: int, offset: int) -> bytes:
    lines = [
        encode_line(
            TrialRequeued(trial_id=f"{seq:04d}", reason="lost"),
            seq=seq,
            batch=offset,
            at=1,
            since=1,
        )
        for seq in range(first, first + 3)
    ]
    return b"".join(lines)


FIRST = batch(0, 0)
SECOND = batch(3, len(FIRST))


class Watched:
    """The module ``os``, whose calls are noted."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        self.calls.append(("pwrite", data, offset))
        return os.pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        self.calls.append(("fdatasync",))
        os.fdatasync(fd)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Give what notes the calls of the recovery."""
    watched = Watched()
    monkeypatch.setattr(_recovery, "os", watched)
    return watched


def test_the_last_batch_is_written_anew_and_synced(tmp_path: Path, watched: Watched) -> None:
    """Its sync may have failed, or never have been made: the one after it must not lie on sand."""
    segment = tmp_path / "000001.jsonl"
    segment.write_bytes(FIRST + SECOND)

    found = _recovery.recover(tmp_path, repair=True)

    assert watched.calls == [("pwrite", SECOND, len(FIRST)), ("fdatasync",)]
    assert segment.read_bytes() == FIRST + SECOND
    assert len(found.events) == 6


def test_a_reader_writes_nothing(tmp_path: Path, watched: Watched) -> None:
    """Who does not hold the project leaves it as it is."""
    (tmp_path / "000001.jsonl").write_bytes(FIRST + SECOND)

    _recovery.recover(tmp_path, repair=False)

    assert watched.calls == []


def test_a_segment_without_records_is_left_alone(tmp_path: Path, watched: Watched) -> None:
    """One that was made and not yet written to has nothing that could be lost."""
    (tmp_path / "000001.jsonl").write_bytes(b"")

    assert _recovery.recover(tmp_path, repair=True).events == []
    assert watched.calls == []
