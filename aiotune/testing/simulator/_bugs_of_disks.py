"""Bugs of the journal's writer, and of what is done when the disk is full."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from aiotune.scheduler import AttemptRunner
from aiotune.store import _recovery, _snapshot
from aiotune.store._journal import Journal
from aiotune.store._lock import ProjectLock
from aiotune.store._segment import SegmentFile
from aiotune.store._space import SpaceWaiter
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


@bug("what a try on a full disk has left is not cut off before the next one")
def _failed_try_not_cut() -> tuple[Replacement, ...]:
    return instead(Journal, "_clean", lambda _: lambda _: None)


@bug("a full disk ends the search at once")
def _full_disk_not_waited_for() -> tuple[Replacement, ...]:
    return instead(SpaceWaiter, "run", lambda _: lambda _, step, __: step())


@bug("the space that was kept for the last records is not given back")
def _ballast_kept() -> tuple[Replacement, ...]:
    return instead(Journal, "_drop_ballast", lambda _: lambda _: None)


@bug("records count as durable when they are written, not when they are synced")
def _not_synced() -> tuple[Replacement, ...]:
    return instead(Journal, "_put", lambda _: lambda self, data: self._file.append(data))


@bug("a sync that fails is taken for one that does not")
def _sync_error_ignored() -> tuple[Replacement, ...]:
    def put(self: Any, data: bytes) -> None:
        self._file.append(data)
        with contextlib.suppress(OSError):
            self._file.sync()

    return instead(Journal, "_put", lambda _: put)


@bug("what was appended during a sync counts as durable with it")
def _durable_too_early() -> tuple[Replacement, ...]:
    def write_all(self: Any) -> None:
        more = True
        while more:
            batch, _, more = self._gather()
            self._try_commit(batch)
            if self._error is None:
                self._durable = self._appended
            self._tell_loop()
        if self._last is not None:
            self._try_commit((self._last,))

    return instead(Journal, "_write_all", lambda _: write_all)


@bug("a segment does not say what lies before it")
def _segment_begins_unnamed() -> tuple[Replacement, ...]:
    def make(rotate: Any) -> Any:
        def nameless(self: Any) -> None:
            rotate(self)
            self._first = None

        return nameless

    return instead(Journal, "_rotate", make)


@bug("a segment is numbered from its own beginning")
def _numbers_begin_anew() -> tuple[Replacement, ...]:
    def make(rotate: Any) -> Any:
        def forgetful(self: Any) -> None:
            rotate(self)
            self._seq = 0

        return forgetful

    return instead(Journal, "_rotate", make)


@bug("nobody looks whether the journal is still the file that was opened")
def _other_file_not_noticed() -> tuple[Replacement, ...]:
    return instead(SegmentFile, "check", lambda _: lambda *_: None)


@bug("a project may be opened that another search holds")
def _two_writers() -> tuple[Replacement, ...]:
    def acquire(path: Any) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    return instead(ProjectLock, "_acquire", lambda _: staticmethod(acquire))


@bug("what was found at the end of the journal is taken for durable as it is")
def _end_not_settled() -> tuple[Replacement, ...]:
    return instead(_recovery, "_settle", lambda _: lambda *_: None)


@bug("a snapshot lacks the last record of its segment")
def _snapshot_too_short() -> tuple[Replacement, ...]:
    def make(write: Any) -> Any:
        return lambda path, data, crc, first, end, events: write(
            path, data, crc, first, end, events[:-1]
        )

    return (
        *instead(_recovery, "write_snapshot", make),
        *instead(_snapshot, "write_snapshot", make),
    )


@bug("the time that a training waits for space on the disk counts against it")
def _wait_for_space_counts() -> tuple[Replacement, ...]:
    return instead(AttemptRunner, "_paused", lambda _: lambda *_: None)
