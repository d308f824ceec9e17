"""The journal's writer: one thread, group commit, no record acknowledged before it is synced."""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from aiotune.errors import StorageError
from aiotune.events import Event
from aiotune.store._codec import encode_line
from aiotune.store._outlast import outlast
from aiotune.store._recovery import Recovered, sync_directory

__all__ = ("Commit", "Journal")

SEGMENT_BYTES = 64 << 20
_MOST_RECORDS = 4096
"""Largest batch; bounds the memory of one write and the wait for its sync."""


class Commit:
    """The durability of what was appended up to a point; await it, or leave it alone."""

    __slots__ = ("_journal", "_ticket")

    def __init__(self, journal: Journal, ticket: int) -> None:
        self._journal, self._ticket = journal, ticket

    def __await__(self) -> Generator[object, None, None]:
        return self._journal.wait_for(self._ticket).__await__()


class Journal:
    """Appends events to the last segment of a journal.

    Args:
        journal_dir: Where the segments are.
        recovered: What is in them.
        segment_bytes: Size after which a new segment is begun; default ``SEGMENT_BYTES``.

    The writer takes all that has gathered while it was syncing, writes it at
    once and syncs it: under load many commits share one sync. Batch N is
    written only after batch N - 1 was synced, which recovery relies on. A
    failed sync is never tried again: the kernel has dropped the pages, and the
    next sync would lie.
    """

    def __init__(
        self, journal_dir: Path, recovered: Recovered, *, segment_bytes: int | None = None
    ) -> None:
        self._dir = journal_dir
        self._segment_bytes = SEGMENT_BYTES if segment_bytes is None else segment_bytes
        self._number, self._seq = recovered.segment, recovered.next_seq
        self._offset = recovered.end
        self._opened = time.monotonic_ns()
        self._path = journal_dir / f"{self._number:06d}.jsonl"
        self._fd = _open_segment(self._path)
        self._queue: queue.SimpleQueue[tuple[int, Sequence[Event]] | None] = queue.SimpleQueue()
        self._appended = 0
        self._durable = 0
        self._error: StorageError | None = None
        self._told = False
        self._closed = False
        self._last: Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._thread = threading.Thread(target=self._write_all, name="aiotune-journal", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[Event]) -> Commit:
        """Queue events in order; never blocks.

        Raises:
            StorageError: The journal is closed, or a write has failed.
        """
        if self._error is not None:
            self._told = True
            raise self._error
        if self._closed:
            raise StorageError("The project is closed, so nothing can be recorded in it.")
        if events:
            self._appended += 1
            self._queue.put((self._appended, events))
        return Commit(self, self._appended)

    async def wait_for(self, ticket: int) -> None:
        """Return when everything up to a ticket is durable."""
        if self._durable < ticket and self._error is None:
            self._loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append((ticket, future))
            if self._durable >= ticket or self._error is not None:
                self._notify()  # it happened between the two checks
            await future
        if self._error is not None and self._durable < ticket:
            self._told = True
            raise self._error

    async def aclose(self, last: Event | None = None) -> None:
        """Make everything durable and stop the writer, even if the caller is cancelled meanwhile.

        Args:
            last: What is recorded after all else has been synced, as a batch of its own.

        Raises:
            StorageError: What nobody waited for could not be written. A failure that
                was raised before, or that costs ``last`` alone, is not raised.
        """
        if not self._closed:
            self._closed, self._last = True, last
            self._queue.put(None)
        ended = asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        cancelled = await outlast(ended)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if cancelled is not None:
            raise cancelled
        if self._error is not None and self._durable < self._appended and not self._told:
            self._told = True
            raise self._error

    # ── on the loop ────────────────────────────────────────────────────────

    def _notify(self) -> None:
        left = []
        for ticket, future in self._waiters:
            if ticket <= self._durable or self._error is not None:
                if not future.done():
                    future.set_result(None)
            else:
                left.append((ticket, future))
        self._waiters = left

    # ── in the writer's thread ─────────────────────────────────────────────

    def _write_all(self) -> None:
        more = True
        while more:
            batch, ticket, more = self._gather()
            self._try_commit(batch)
            if self._error is None:
                self._durable = ticket
            self._tell_loop()
        if self._last is not None:
            self._try_commit((self._last,))

    def _try_commit(self, batch: Sequence[Event]) -> None:
        if not batch or self._error is not None:
            return
        try:
            self._commit(batch)
        except Exception as error:  # noqa: BLE001 - a dead thread would leave all who wait hanging
            self._error = _as_sentence(error, self._path)

    def _gather(self) -> tuple[list[Event], int, bool]:
        batch: list[Event] = []
        ticket = self._durable
        item = self._queue.get()
        while item is not None:
            ticket, events = item
            batch += events
            if len(batch) >= _MOST_RECORDS:
                return batch, ticket, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, ticket, True
        return batch, ticket, False

    def _tell_loop(self) -> None:
        loop = self._loop
        if loop is None or not self._waiters:
            return
        try:
            loop.call_soon_threadsafe(self._notify)
        except RuntimeError:
            self._loop = None  # the loop is closed: nobody waits any more

    def _commit(self, batch: Sequence[Event]) -> None:
        self._fence()
        if self._offset >= self._segment_bytes:
            self._rotate()
            self._fence()
        now, since = time.time_ns(), time.monotonic_ns() - self._opened
        data = b"".join(
            encode_line(event, seq=self._seq + i, batch=self._offset, at=now, since=since)
            for i, event in enumerate(batch)
        )
        try:
            _write(self._fd, data)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                os.ftruncate(self._fd, self._offset)
            raise
        os.fdatasync(self._fd)
        self._offset += len(data)
        self._seq += len(batch)

    def _fence(self) -> None:
        """Notice another writer, or that the directory is gone: locks alone cannot be trusted on NFS."""
        ours = os.fstat(self._fd)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            named = None
        if named is None or ours.st_nlink == 0 or named.st_ino != ours.st_ino:
            raise StorageError(
                f"The journal {self._path} was removed or replaced while the search ran. The project "
                "directory must stay where it is; what was recorded before is in the removed file."
            )
        if ours.st_size != self._offset:
            raise StorageError(
                f"Another process wrote to the journal {self._path}: it has {ours.st_size} bytes, and "
                f"this search left it at {self._offset}. Only one search may use a project."
            )

    def _rotate(self) -> None:
        path = self._dir / f"{self._number + 1:06d}.jsonl"
        # Opened before the old one is closed: if it fails, one descriptor is still ours to close.
        fd = _open_segment(path)
        os.close(self._fd)
        self._number += 1
        self._path, self._fd, self._offset = path, fd, 0


def _open_segment(path: Path) -> int:
    new = not path.exists()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if new:
        sync_directory(path.parent)
    return fd


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _as_sentence(error: Exception, path: Path) -> StorageError:
    if isinstance(error, StorageError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        free = os.statvfs(path.parent)
        return StorageError(
            f"The disk of {path} is full ({free.f_bavail * free.f_frsize >> 20} MiB are free), so the search "
            "cannot be recorded and was stopped.",
            hint="Free space and run the program again: it continues where it was.",
        )
    told = StorageError(
        f"Writing to the journal {path} failed with {type(error).__name__}: {error}. The search was "
        "stopped, since what is not recorded would be lost.",
        hint="Mend the cause and run the program again: it continues from what was recorded.",
    )
    told.__cause__ = error
    return told
