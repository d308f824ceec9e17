"""The journal's writer: what it acknowledges is on the disk, and it never tries a failed sync again."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from aiotune.errors import StorageError
from aiotune.events import Event, SearchEnded, SpaceGrew, TrialRequeued
from aiotune.store._journal import Commit, Journal
from aiotune.store._recovery import recover

_COMMITS = 5


def _fact(number: int) -> Event:
    return TrialRequeued(trial_id=f"{number:04d}", reason="lost", lost=number)


def _open(folder: Path, segment_bytes: int | None = None) -> Journal:
    return Journal(folder, recover(folder, repair=True), segment_bytes=segment_bytes)


async def _opened(folder: Path, segment_bytes: int | None = None) -> Journal:
    return await asyncio.to_thread(_open, folder, segment_bytes)


def _on_disk(folder: Path) -> list[Event]:
    return list(recover(folder, repair=False).events)


class _Failing:
    """A system call that fails once, at its N-th call by the journal's writer."""

    def __init__(self, call: Callable[..., Any], at: int, code: int, *, part: int = 0) -> None:
        self.calls, self._call = 0, call
        self._at, self._code, self._part = at, code, part

    def __call__(self, fd: int, *args: Any) -> Any:
        if threading.current_thread().name != "aiotune-journal":
            return self._call(fd, *args)
        self.calls += 1
        if self.calls != self._at:
            return self._call(fd, *args)
        if self._part:
            self._call(fd, args[0][: self._part])
        raise OSError(self._code, os.strerror(self._code))


def _gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Hold up every sync until the event is set."""
    gate, real = threading.Event(), os.fdatasync

    def sync(fd: int) -> None:
        gate.wait(5)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    return gate


async def _commit_until_it_fails(journal: Journal) -> tuple[list[Event], StorageError]:
    acknowledged: list[Event] = []
    for number in range(_COMMITS):
        commit = journal.append((_fact(number),))
        try:
            await commit
        except StorageError as error:
            return acknowledged, error
        acknowledged.append(_fact(number))
    raise AssertionError("nothing failed")


@pytest.mark.parametrize("at", range(1, _COMMITS + 1))
@pytest.mark.parametrize("call", ["write", "fdatasync"])
async def test_failed_call_ends_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    """The N-th write or sync fails: that commit and every later append raise, and nothing is retried."""
    failing = _Failing(getattr(os, call), at, errno.EIO)
    monkeypatch.setattr(os, call, failing)
    journal = await _opened(tmp_path)

    acknowledged, error = await _commit_until_it_fails(journal)
    with pytest.raises(StorageError) as later:
        journal.append((_fact(99),))
    await journal.aclose()

    assert later.value is error
    assert str(error).startswith(f"Writing to the journal {tmp_path / '000001.jsonl'} failed with")
    assert "Input/output error. The search was stopped" in str(error)
    assert "run the program again" in str(error)
    assert isinstance(error.__cause__, OSError)
    assert acknowledged == [_fact(i) for i in range(at - 1)]
    assert failing.calls == at
    found = await asyncio.to_thread(_on_disk, tmp_path)
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) == len(acknowledged) + (call == "fdatasync")


async def test_failure_reaches_every_commit_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who wait are told, and so is who awaits an old commit later; none of them hangs."""
    monkeypatch.setattr(os, "fdatasync", _Failing(os.fdatasync, 1, errno.EIO))
    journal = await _opened(tmp_path)
    commits = [journal.append((_fact(i),)) for i in range(8)]

    results = await asyncio.gather(*commits, return_exceptions=True)
    with pytest.raises(StorageError):
        await commits[0]
    await journal.aclose()

    assert [type(result) for result in results] == [StorageError] * 8


async def test_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes a few bytes at a time still ends with whole records."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    journal = await _opened(tmp_path)
    await journal.append([_fact(i) for i in range(3)])
    await journal.aclose()

    assert await asyncio.to_thread(_on_disk, tmp_path) == [_fact(i) for i in range(3)]


@pytest.mark.parametrize(
    "event",
    [
        SpaceGrew(entries=[{"config": object()}]),
        SpaceGrew(entries=[{"config": "x" * 9_000_000}]),
        SearchEnded(reason="\ud800"),
    ],
    ids=["unknown type", "too long", "not Unicode"],
)
async def test_event_that_cannot_be_written_fails_instead_of_hanging(
    tmp_path: Path, event: Event
) -> None:
    """Whatever goes wrong in the writer's thread is raised to who waits for it."""
    journal = await _opened(tmp_path)

    with pytest.raises(StorageError, match="failed with"):
        await asyncio.wait_for(journal.append((event,)), 5)
    await journal.aclose()

    assert await asyncio.to_thread(_on_disk, tmp_path) == []


async def test_another_writer_is_noticed(tmp_path: Path) -> None:
    """A file that grew by somebody else's hand is not written to any more."""
    journal = await _opened(tmp_path)
    await journal.append((_fact(0),))
    path = tmp_path / "000001.jsonl"
    with path.open("ab") as file:
        file.write(b"x")
    size = path.stat().st_size

    with pytest.raises(
        StorageError, match=rf"Another process wrote .* has {size} bytes, .* left it at {size - 1}"
    ):
        await journal.append((_fact(1),))
    await journal.aclose()

    assert path.stat().st_size == size


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
async def test_removed_journal_is_noticed(tmp_path: Path, replaced: bool) -> None:
    """Records are not sent into a file that nobody will find."""
    journal = await _opened(tmp_path)
    await journal.append((_fact(0),))
    path = tmp_path / "000001.jsonl"
    data = path.read_bytes()
    path.rename(tmp_path / "moved")
    if replaced:
        path.write_bytes(data)

    with pytest.raises(StorageError, match="was removed or replaced while the search ran"):
        await journal.append((_fact(1),))
    await journal.aclose()

    assert (tmp_path / "moved").read_bytes() == data


async def test_segments_are_begun_at_their_size(tmp_path: Path) -> None:
    """A small limit makes many segments; numbers go on, and all of it is read back."""
    journal = await _opened(tmp_path, segment_bytes=300)
    for number in range(12):
        await journal.append((_fact(number),))
    await journal.aclose()
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    headers = len(sizes) - 1

    journal = await _opened(tmp_path, segment_bytes=300)
    await journal.append((_fact(12),))
    await journal.aclose()
    found = await asyncio.to_thread(recover, tmp_path, repair=True)

    assert len(sizes) > 2
    assert all(size >= 300 for size in sizes[:-1])
    assert all(size < 600 for size in sizes)
    assert found.events == [_fact(i) for i in range(13)]
    assert found.next_seq - 13 in {headers, headers + 1}


def _descriptors() -> list[int]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            os.fstat(int(link.name))
        except OSError:
            continue  # the listing's own
        found.append(int(link.name))
    return found


async def test_failed_rotation_closes_no_descriptor_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the next segment cannot be made, closing leaves a stranger's descriptor alone."""
    journal = await _opened(tmp_path, segment_bytes=1)
    await journal.append((_fact(0),))
    used = (tmp_path / "000001.jsonl").stat().st_ino
    held = [fd for fd in _descriptors() if os.fstat(fd).st_ino == used]
    taken: list[int] = []
    real = os.open

    def fail(path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith("000002.jsonl"):
            taken.append(real(os.devnull, os.O_RDONLY))
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(StorageError, match="Too many open files"):
        await journal.append((_fact(1),))
    await journal.aclose()

    assert held[0] not in taken
    os.close(taken[0])


def test_commits_may_be_left_alone(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """A commit that nobody awaits is durable after the close, without a warning."""

    async def write() -> None:
        journal = await _opened(tmp_path)
        for number in range(20):
            journal.append((_fact(number),))
        await journal.aclose()

    asyncio.run(write())
    gc.collect()

    assert _on_disk(tmp_path) == [_fact(i) for i in range(20)]
    assert [str(w.message) for w in recwarn] == []


def test_journal_outlives_an_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two loops use it one after the other, even if the first ended while a commit was waited for."""
    journal = _open(tmp_path)

    async def commit(number: int) -> None:
        await journal.append((_fact(number),))

    async def abandon() -> None:
        commits = [asyncio.ensure_future(commit(i)) for i in (1, 2)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in commits)

    asyncio.run(commit(0))
    gate = _gate(monkeypatch)
    asyncio.run(abandon())
    gate.set()
    asyncio.run(commit(3))
    asyncio.run(journal.aclose())

    assert _on_disk(tmp_path) == [_fact(i) for i in range(4)]


async def test_cancelled_waiter_loses_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Giving up the wait takes nothing back, and does not disturb the others."""
    journal = await _opened(tmp_path)
    gate = _gate(monkeypatch)

    async def commit(number: int) -> None:
        await journal.append((_fact(number),))

    impatient, patient = asyncio.ensure_future(commit(0)), asyncio.ensure_future(commit(1))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    await patient
    await journal.aclose()

    assert impatient.cancelled()
    assert await asyncio.to_thread(_on_disk, tmp_path) == [_fact(0), _fact(1)]


async def test_many_committers_share_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-four commits at a time are all durable and in order, with far fewer syncs than commits."""
    counting = _Failing(os.fdatasync, 0, errno.EIO)
    monkeypatch.setattr(os, "fdatasync", counting)
    journal = await _opened(tmp_path)
    order: list[int] = []

    async def commit(number: int) -> None:
        order.append(number)
        await journal.append((_fact(number),))

    for turn in range(5):
        await asyncio.gather(*(commit(turn * 64 + i) for i in range(64)))
    await journal.aclose()

    assert await asyncio.to_thread(_on_disk, tmp_path) == [_fact(i) for i in order]
    assert len(order) == 320
    assert counting.calls < len(order) / 4


async def test_acknowledged_record_is_readable_at_once(tmp_path: Path) -> None:
    """When the await returns, another reader finds the record, and all before it."""
    journal = await _opened(tmp_path)
    for number in range(10):
        journal.append((_fact(number * 2),))
        await journal.append((_fact(number * 2 + 1),))

        assert len(await asyncio.to_thread(_on_disk, tmp_path)) == number * 2 + 2
    await journal.aclose()


async def test_one_append_is_one_batch(tmp_path: Path) -> None:
    """Events appended together are written after the sync of those before, and share an offset."""
    journal = await _opened(tmp_path)
    await journal.append([_fact(0), _fact(1)])
    size = (tmp_path / "000001.jsonl").stat().st_size
    await journal.append([_fact(2), _fact(3)])
    await journal.aclose()
    lines = (tmp_path / "000001.jsonl").read_bytes().splitlines()

    assert [b'"b":0,' in line for line in lines] == [True, True, False, False]
    assert [b'"b":%d,' % size in line for line in lines] == [False, False, True, True]


async def test_nothing_to_append_is_durable_when_all_before_is(tmp_path: Path) -> None:
    """An empty append writes no record, and its commit waits for what was queued before."""
    journal = await _opened(tmp_path)
    journal.append((_fact(0),))
    barrier: Commit = journal.append(())
    await barrier

    assert await asyncio.to_thread(_on_disk, tmp_path) == [_fact(0)]
    await journal.aclose()


async def test_closed_journal_refuses(tmp_path: Path) -> None:
    """After the close an append raises, a second close does nothing, and old commits return."""
    journal = await _opened(tmp_path)
    commit = journal.append((_fact(0),))
    await journal.aclose()
    await journal.aclose()

    await commit
    with pytest.raises(StorageError, match="The project is closed, so nothing can be recorded"):
        journal.append((_fact(1),))


async def test_more_records_than_a_batch_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gathered beyond the largest batch goes into the next one, in order."""
    monkeypatch.setattr("aiotune.store._journal._MOST_RECORDS", 4)
    journal = await _opened(tmp_path)
    facts: Sequence[Event] = [_fact(i) for i in range(30)]
    commits = [journal.append((fact,)) for fact in facts]
    await commits[-1]
    await journal.aclose()

    assert await asyncio.to_thread(_on_disk, tmp_path) == facts
