"""A full disk: the journal waits, writes it all once there is space, and tells; nothing else is tried again."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aiotune.errors import StorageError
from aiotune.events import Event, TrialRequeued
from aiotune.store import _space as space_module
from aiotune.store._journal import Journal
from aiotune.store._recovery import recover
from aiotune.store._segment import SegmentFile
from aiotune.store._space import DiskPause, SpaceWaiter


def _fact(number: int) -> Event:
    return TrialRequeued(trial_id=f"{number:04d}", reason="lost")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again after a millisecond, and give up a closed project at once."""
    monkeypatch.setattr(space_module, "_FIRST", 0.001)
    monkeypatch.setattr(space_module, "_LONGEST", 0.001)
    monkeypatch.setattr(space_module, "LAST_PATIENCE", 0.0)


class _Disk:
    """A disk of which calls fail by number, as a full one's do; counts all of them."""

    def __init__(self, *, full: range = range(0), call: str = "append", code: int = 0) -> None:
        self.full, self.call, self.code = full, call, code or errno.ENOSPC
        self.calls: dict[str, int] = {}

    def open(self, path: Path) -> _File:
        self.fail("open")
        return _File(path, self)

    def fail(self, call: str) -> None:
        number = self.calls.get(call, 0)
        self.calls[call] = number + 1
        if call == self.call and number in self.full:
            raise OSError(self.code, os.strerror(self.code))


class _File(SegmentFile):
    """A real file, but for what its disk says; a write that fails has written a part."""

    def __init__(self, path: Path, disk: _Disk) -> None:
        super().__init__(path)
        self._disk = disk

    def append(self, data: bytes) -> None:
        try:
            self._disk.fail("append")
        except OSError:
            super().append(data[: len(data) // 2])
            raise
        super().append(data)

    def sync(self) -> None:
        self._disk.fail("sync")
        super().sync()

    def cut(self, size: int) -> None:
        self._disk.fail("cut")
        super().cut(size)


async def _opened(folder: Path, disk: _Disk, segment_bytes: int = 1 << 20) -> Journal:
    def make() -> Journal:
        found = recover(folder, repair=True)
        return Journal(folder, found, segment_bytes=segment_bytes, files=disk.open)

    return await asyncio.to_thread(make)


async def _history(folder: Path) -> list[Event]:
    return list((await asyncio.to_thread(recover, folder, repair=False)).events)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
@pytest.mark.parametrize("call", ["append", "sync"])
async def test_full_disk_is_waited_for(tmp_path: Path, call: str, code: int) -> None:
    """However often there was no space, each commit returns, and each record is there once, in order."""
    disk = _Disk(full=range(2, 6), call=call, code=code)
    journal = await _opened(tmp_path, disk)
    for number in range(5):
        await journal.append((_fact(number),))
    await journal.aclose()

    assert await _history(tmp_path) == [_fact(i) for i in range(5)]
    assert disk.calls[call] == 5 + 4


async def test_what_gathers_meanwhile_is_written_afterwards(tmp_path: Path) -> None:
    """Appends do not block while the disk is full, and their commits return when it is not."""
    disk = _Disk(full=range(10**9))
    journal = await _opened(tmp_path, disk)
    commits = [asyncio.ensure_future(_commit(journal, number)) for number in range(20)]
    await _until(lambda: disk.calls.get("append", 0) > 3)
    done = [commit.done() for commit in commits]
    disk.full = range(0)
    await asyncio.gather(*commits)
    await journal.aclose()

    assert done == [False] * 20
    assert await _history(tmp_path) == [_fact(i) for i in range(20)]


async def _commit(journal: Journal, number: int) -> None:
    await journal.append((_fact(number),))


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def test_failed_sync_is_followed_by_a_new_write(tmp_path: Path) -> None:
    """What a full disk did not sync is cut off and written anew before it is synced again."""
    disk = _Disk(full=range(1), call="sync")
    journal = await _opened(tmp_path, disk)
    await journal.append((_fact(0),))
    await journal.aclose()

    assert disk.calls == {"open": 1, "append": 2, "sync": 2, "cut": 1}
    assert await _history(tmp_path) == [_fact(0)]


async def test_cut_that_finds_no_space_is_repeated(tmp_path: Path) -> None:
    """Where even cutting needs space, nothing is written behind the half record."""
    disk = _Disk(full=range(1), call="append")
    journal = await _opened(tmp_path, disk)
    real, disk.calls["cut"] = disk.fail, 0

    def fail(call: str) -> None:
        real(call)
        if call == "cut" and disk.calls["cut"] <= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk.fail = fail  # type: ignore[method-assign]
    await journal.append((_fact(0),))
    await journal.aclose()

    assert disk.calls["cut"] == 3
    assert await _history(tmp_path) == [_fact(0)]


async def test_new_segment_is_waited_for(tmp_path: Path) -> None:
    """A disk that is full when a segment is to be begun costs nothing either."""
    disk = _Disk(full=range(2, 5), call="open")
    journal = await _opened(tmp_path, disk, segment_bytes=300)
    for number in range(12):
        await journal.append((_fact(number),))
    await journal.aclose()

    assert disk.calls["open"] > 5
    assert await _history(tmp_path) == [_fact(i) for i in range(12)]


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EFBIG, errno.EBADF], ids=str)
@pytest.mark.parametrize("call", ["append", "sync"])
async def test_any_other_failure_is_final(tmp_path: Path, call: str, code: int) -> None:
    """It is raised at once, and the call is not repeated: a second sync would lie."""
    disk = _Disk(full=range(1), call=call, code=code)
    journal = await _opened(tmp_path, disk)

    with pytest.raises(StorageError, match="failed with"):
        await journal.append((_fact(0),))
    await journal.aclose()

    assert disk.calls[call] == 1


async def test_other_failure_while_waiting_for_space_is_final(tmp_path: Path) -> None:
    """A disk that becomes unwritable while it is full is not waited for."""
    disk = _Disk(full=range(10**9))
    journal = await _opened(tmp_path, disk)
    waiting = asyncio.ensure_future(_commit(journal, 0))
    await _until(lambda: disk.calls.get("append", 0) > 1)
    disk.code = errno.EIO

    with pytest.raises(StorageError, match="Input/output error"):
        await waiting
    await journal.aclose()


async def test_close_does_not_wait_long(tmp_path: Path) -> None:
    """A project that is closed while its disk is full says so, and leaves no half record behind."""
    disk = _Disk()
    journal = await _opened(tmp_path, disk)
    await journal.append((_fact(0),))
    whole = (tmp_path / "000001.jsonl").read_bytes()
    disk.full = range(10**9)
    journal.append((_fact(1),))

    with pytest.raises(
        StorageError, match=r"disk of .* is full \(\d+ MiB are free\), or a quota .* Free space"
    ):
        await journal.aclose()

    assert (tmp_path / "000001.jsonl").read_bytes() == whole


async def test_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that is allowed, the search is told that the disk is full."""
    monkeypatch.setattr(space_module, "PATIENCE", 0.01)
    journal = await _opened(tmp_path, _Disk(full=range(10**9)))

    with pytest.raises(StorageError, match="is full"):
        await journal.append((_fact(0),))
    await journal.aclose()


async def test_pause_is_told(tmp_path: Path) -> None:
    """Once when the disk is full, with the reason, and once when there is space; on the loop."""
    disk = _Disk(full=range(1, 5))
    journal = await _opened(tmp_path, disk)
    told: list[DiskPause] = []
    journal.on_pause = told.append
    await journal.append((_fact(0),))
    await journal.append((_fact(1),))
    await _until(lambda: len(told) == 2)
    await journal.aclose()

    assert [(pause.over, pause.reason) for pause in told] == [
        (False, "No space left on device"),
        (True, ""),
    ]
    assert told[0].path == tmp_path / "000001.jsonl"
    assert told[0].free > 0
    assert told[1].waited > 0.0


def test_pause_is_told_again_each_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each try, but so that the end of a log says why nothing happens."""
    monkeypatch.setattr(space_module, "_REPEAT", 0.01)
    monkeypatch.setattr(space_module, "PATIENCE", 0.1)
    told: list[DiskPause] = []

    def step() -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        SpaceWaiter(told.append).run(step, tmp_path / "file")

    assert 2 <= len(told) <= 11
    assert [pause.over for pause in told] == [False] * len(told)
