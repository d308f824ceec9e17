"""Space that is kept for the last records."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from aiotune.events import Event, ProjectClosed, SearchEnded
from aiotune.store import Layout, open_project, read_events
from aiotune.store import _ballast as ballast_module
from aiotune.store import _space as space_module
from aiotune.store._ballast import Ballast
from aiotune.store._segment import SegmentFile


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_space_is_taken_and_given_back(tmp_path: Path) -> None:
    """A mebibyte of real blocks; one that a killed program left is taken anew."""
    path = tmp_path / "ballast.bin"
    path.write_text("older")
    ballast = Ballast(path)
    ballast.load()
    taken = (blocks(path), path.stat().st_mode & 0o777)
    ballast.drop()
    ballast.drop()

    assert taken == (ballast_module.SIZE, 0o600)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no ballast then, and nothing is left of it."""

    def full(fd: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    Ballast(tmp_path / "ballast.bin").load()

    assert list(tmp_path.iterdir()) == []


async def test_a_project_that_is_closed_on_a_full_disk_is_closed_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written while the ballast is there; its space takes the last records."""
    layout = Layout(tmp_path, "p")
    store = await open_project(layout)
    place = layout.journal_dir / "ballast.bin"
    append = SegmentFile.append

    def scarce(file: SegmentFile, data: bytes) -> None:
        if place.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(file, data)

    was_there = place.exists()
    monkeypatch.setattr(SegmentFile, "append", scarce)
    last: Event = SearchEnded(reason="cancelled")
    store.append(last)
    await store.aclose()
    found = await asyncio.to_thread(read_events, layout)

    assert was_there
    assert not place.exists()
    assert found[-2] == last
    assert isinstance(found[-1], ProjectClosed)


async def test_the_space_is_used_however_long_the_disk_has_been_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that is stopped after hours of waiting gives the space back and then tries once more."""
    monkeypatch.setattr(space_module, "LAST_PATIENCE", 0.0)
    layout = Layout(tmp_path, "p")
    store = await open_project(layout)
    place = layout.journal_dir / "ballast.bin"
    append, tried = SegmentFile.append, asyncio.Event()
    loop = asyncio.get_running_loop()

    def scarce(file: SegmentFile, data: bytes) -> None:
        loop.call_soon_threadsafe(tried.set)
        if place.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(file, data)

    monkeypatch.setattr(SegmentFile, "append", scarce)
    last: Event = SearchEnded(reason="cancelled")
    store.append(last)
    await tried.wait()
    await store.aclose()
    found = await asyncio.to_thread(read_events, layout)

    assert found[-2] == last
    assert isinstance(found[-1], ProjectClosed)
