"""The journal's writer: one thread, group commit, no record acknowledged before it is synced."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
import zlib
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

from aiotune._threads import start_in_thread
from aiotune.errors import StorageError
from aiotune.events import Event
from aiotune.store._ballast import Ballast
from aiotune.store._codec import encode_line
from aiotune.store._outlast import outlast
from aiotune.store._recovery import Recovered
from aiotune.store._segment import Appendable, SegmentBegan, SegmentFile, begin, segment_name
from aiotune.store._space import DiskPause, SpaceWaiter, free_bytes, is_full

__all__ = ("Commit", "Journal")

SEGMENT_BYTES = 8 << 20
"""What is sealed is never parsed again while its snapshot matches, so segments are not larger."""
_CLOSING = 60.0
"""Seconds that the last records may take, with a sync of a busy disk's; longer only a disk takes that hangs."""
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
        files: Opens a segment, and makes it if it is not there.
        ballast: Space to be given back for the last records, if need be.

    Attributes:
        on_pause: Told, on the loop of who waits last, that the disk is full or no longer is.
        hangs: Whether a call of the disk's did not return when it was closed.

    The writer takes all that has gathered while it was syncing, writes it at
    once and syncs it: under load many commits share one sync. Batch N is
    written only after batch N - 1 was synced, which recovery relies on. A
    failed sync is never tried again: the kernel has dropped the pages, and the
    next sync would lie. Only when it failed for want of space is the batch cut
    off, written anew and synced, until there is space.
    """

    def __init__(
        self,
        journal_dir: Path,
        recovered: Recovered,
        *,
        segment_bytes: int | None = None,
        files: Callable[[Path], Appendable] = SegmentFile,
        ballast: Ballast | None = None,
    ) -> None:
        self._dir, self._files = journal_dir, files
        self._segment_bytes = SEGMENT_BYTES if segment_bytes is None else segment_bytes
        self._number, self._seq = recovered.segment, recovered.next_seq
        self._offset, self._crc = recovered.end, recovered.crc
        self._first = recovered.began_after
        self._opened = time.monotonic_ns()
        self._path = journal_dir / segment_name(self._number)
        self._file = files(self._path)
        self._dirty = False
        self._space = SpaceWaiter(self._tell_pause, self._drop_ballast)
        self.on_pause: Callable[[DiskPause], None] | None = None
        self._queue: queue.SimpleQueue[tuple[int, Sequence[Event]] | None] = queue.SimpleQueue()
        self._appended = 0
        self._durable = 0
        self._error: StorageError | None = None
        self._told = False
        self._closed = self.hangs = False
        self._last: Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._ballast = ballast
        if ballast is not None:
            ballast.load()
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
        self._loop = asyncio.get_running_loop()
        if self._durable < ticket and self._error is None:
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
            StorageError: What nobody waited for could not be written, or a call of the disk's does not
                return. A failure that was raised before, or that costs ``last`` alone, is not raised.
        """
        if not self._closed:
            self._closed, self._last = True, last
            self._space.close()
            self._queue.put(None)
        ended = start_in_thread(self._thread.join)
        cancelled = await outlast(ended, deadline=_CLOSING)
        if not ended.done():
            self.hangs = True  # its file is left open: closing it would hang as well
            raise cancelled or StorageError(
                f"The journal {self._path} could not be closed: a call of the disk's has not returned for "
                f"{_CLOSING:.0f} s. What was recorded last may be lost.",
                hint="Look at the disk or the file server. The project stays locked until this program ends.",
            )
        self._file.close()
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
        self._drop_ballast()

    def _drop_ballast(self) -> None:
        if self._ballast is not None:
            self._ballast.drop()

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

    def _tell_pause(self, pause: DiskPause) -> None:
        loop, told = self._loop, self.on_pause
        if loop is None or told is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            loop.call_soon_threadsafe(told, pause)

    def _commit(self, batch: Sequence[Event]) -> None:
        if self._offset >= self._segment_bytes:
            self._file.check(self._offset)
            self._space.run(self._rotate, self._path)
        self._file.check(self._offset)
        data, records = self._encoded(batch)
        self._space.run(partial(self._put, data), self._path)
        self._offset += len(data)
        self._crc = zlib.crc32(data, self._crc)
        self._seq += records

    def _encoded(self, batch: Sequence[Event]) -> tuple[bytes, int]:
        """Return a batch's lines, and how many; the first batch of a segment says what it follows."""
        now, since = time.time_ns(), time.monotonic_ns() - self._opened
        lines = []
        if self._offset == 0 and self._first is not None:
            lines.append(begin(self._first, seq=self._seq, at=now, since=since))
        first = self._seq + len(lines)
        lines += [
            encode_line(event, seq=first + i, batch=self._offset, at=now, since=since)
            for i, event in enumerate(batch)
        ]
        return b"".join(lines), len(lines)

    def _put(self, data: bytes) -> None:
        """Write and sync a batch; after a failure for want of space, all of it anew."""
        self._clean()
        self._dirty = True
        try:
            self._file.append(data)
            self._file.sync()
        except OSError as error:
            if is_full(error):
                self._clean()  # now, since there may be no other try
            raise
        self._dirty = False

    def _clean(self) -> None:
        """Cut off what a failed try has left."""
        if self._dirty:
            self._file.cut(self._offset)
            self._dirty = False

    def _rotate(self) -> None:
        path = self._dir / segment_name(self._number + 1)
        # Opened before the old one is closed: if it fails, one descriptor is still ours to close.
        file = self._files(path)
        self._file.close()
        self._first = SegmentBegan(self._path.name, self._offset, self._crc)
        self._number += 1
        self._path, self._file, self._offset, self._crc = path, file, 0, 0


def _as_sentence(error: Exception, path: Path) -> StorageError:
    if isinstance(error, StorageError):
        return error
    if is_full(error):
        return StorageError(
            f"The disk of {path} is full ({free_bytes(path.parent) >> 20} MiB are free), or a quota is used "
            "up, so the search cannot be recorded and was stopped.",
            hint="Free space and run the program again: it continues where it was.",
        )
    told = StorageError(
        f"Writing to the journal {path} failed with {type(error).__name__}: {error}. The search was "
        "stopped, since what is not recorded would be lost.",
        hint="Mend the cause and run the program again: it continues from what was recorded.",
    )
    told.__cause__ = error
    return told
