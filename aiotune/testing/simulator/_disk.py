"""A disk that can be full, slow, broken or without power, below the product's own journal.

The files are real ones, in memory; what happens to them is not. The journal's
writer, its segments, its waiting for space, the lock, the recovery and the
spooled results are the product's own.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import sys
import tempfile
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiotune.events import Event
from aiotune.scheduler import _starting
from aiotune.store import (
    Layout,
    _ballast,
    _file,
    _journal,
    _recovery,
    _segment,
    _space,
    read_events,
)
from aiotune.store._journal import Journal
from aiotune.store._lock import ProjectLock
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._seams import Replacement
from aiotune.testing.simulator._segments import SimSegment
from aiotune.testing.simulator._threads import Killed, Threads
from aiotune.testing.simulator._world import Watcher, World
from aiotune.wire import Done, RunAttempt
from aiotune.worker import _session

__all__ = ("SimDisk",)

_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a fresh folder in it
_SECTOR = 512
_FULL_FOR = (30.0, 60.0, 200.0, 400.0, 600.0, 5_000.0)
"""Seconds; ten minutes are waited for, and an hour is too long."""


class SimDisk:
    """The files of one project, and what happens to them.

    Args:
        world: Whose disk.

    Attributes:
        layout: Where the project is.
        commits: How many batches this life has begun to write.
        failed: Whether a write or a sync has failed for good in this life.
        sync_takes: Seconds.
        threads: Those of the present life.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._folder = tempfile.TemporaryDirectory(prefix="aiotune-simulated-", dir=_IN_MEMORY)
        self.layout = Layout(self._folder.name, "simulated")
        self.threads = Threads(world)
        self._watchers: list[Watcher] = []
        self._synced: dict[str, int] = {}
        self._dropped: dict[str, tuple[int, int]] = {}
        self._named: set[str] = set()
        self._open: list[SimSegment | ProjectLock] = []
        self._saved: dict[str, tuple[int, int]] = {}
        self.commits, self.failed = 0, False
        self.sync_takes = world.plan.setup.sync
        self._full_since = 0.0
        self._reserved = 0
        self._due: dict[int, list[Fault]] = {}
        self._full_until = 0.0

    def remove(self) -> None:
        """Remove the files."""
        self._let_go()
        self._folder.cleanup()

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody what becomes durable."""
        self._watchers.append(watcher)

    def new_life(self) -> None:
        """Begin to count commits anew; whoever is gone holds no lock and no file."""
        self._let_go()
        self._due.clear()
        self.commits, self.failed, self._full_until = 0, False, 0.0
        self.threads = Threads(self._world)

    def _let_go(self) -> None:
        for held in self._open:
            if isinstance(held, ProjectLock):
                held.release()
            else:
                held.close()
        self._open.clear()

    def hold(self, held: SimSegment | ProjectLock) -> None:
        """Remember what the kernel takes back from a process that is gone."""
        self._open.append(held)

    # ── what is there ──────────────────────────────────────────────────────

    @property
    def segments(self) -> list[Path]:
        """The journal's segments, in order."""
        return sorted(self.layout.journal_dir.glob("*.jsonl"))

    @property
    def data(self) -> list[bytes]:
        """The bytes of the journal's segments as a reader would find them now."""
        return [path.read_bytes() for path in self.segments]

    def events(self) -> Sequence[Event]:
        """Return what the product reads of the journal."""
        return read_events(self.layout)

    # ── workers ────────────────────────────────────────────────────────────

    def write_down(self, order: RunAttempt, done: Done) -> bool:
        """Write a result down as a worker does; return whether there was space for it."""
        if self.is_full():
            return False
        _session._spool(order, done)  # noqa: SLF001 - the worker's own
        return True

    def save(self, order: RunAttempt, epochs: int) -> bool:
        """Keep the state of a trial's training; return whether there was space for it."""
        if self.is_full():
            return False
        self._saved[order.trial_dir] = (order.retry, epochs)
        return True

    def saved_epochs(self, order: RunAttempt) -> int:
        """Return how far a trial's training was saved; a trial that failed is trained afresh."""
        retry, epochs = self._saved.get(order.trial_dir, (order.retry, 0))
        return epochs if retry == order.retry else 0

    # ── faults ─────────────────────────────────────────────────────────────

    def schedule(self, commit: int, fault: Fault) -> None:
        """Let a fault happen at a commit of this life."""
        self._due.setdefault(commit, []).append(fault)

    def takes(self, fault: Fault) -> bool:
        """Whether a fault is due at the present commit; it happens once."""
        due = self._due.get(self.commits, [])
        if fault not in due:
            return False
        due.remove(fault)
        return True

    def is_full(self) -> bool:
        """Whether there is no space now."""
        return self._world.monotonic() < self._full_until

    def may_fill_up(self) -> None:
        """Be full from now on, if that is due."""
        if self.takes(Fault.DISK_FULL):
            numbers = self._world.plan.numbers("full", self._world.life, self.commits)
            seconds = numbers.choice(_FULL_FOR)
            self._full_since = self._world.monotonic()
            self._full_until = self._full_since + seconds
            self._world.strike(Fault.DISK_FULL, "disk", f"for {seconds:.0f} s")

    def _reserve(self, _: int, __: int, size: int) -> None:
        """Stand for ``posix_fallocate`` of the journal's ballast; the last life's may just have made room.

        Raises:
            OSError: There is no space.
        """
        if self.is_full() and not self._reserved:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._reserved = size

    @property
    def has_ballast(self) -> bool:
        """Whether space was kept back for the last records."""
        return self._reserved > 0

    def has_room_for(self, size: int) -> bool:
        """Whether so many bytes can be written, and take what room a full disk has."""
        if not self.is_full():
            return True
        if self._reserved < size or self._ballast.exists():
            return False
        self._reserved -= size
        return True

    @property
    def _ballast(self) -> Path:
        return self.layout.journal_dir / "ballast.bin"

    @property
    def full_for(self) -> float:
        """Seconds that it has been full, or was the last time in this life."""
        until = min(self._world.monotonic(), self._full_until)
        return until - self._full_since if self._full_until else 0.0

    def fail(self, fault: Fault) -> None:
        """Let a call fail for good.

        Raises:
            OSError: Always.
        """
        self.failed = True
        self._world.strike(fault, "disk")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def die(self, fault: Fault, what: str = "") -> None:
        """End the tuner's process in one of its threads.

        Raises:
            Killed: Always.
        """
        self._world.die(fault, what)
        raise Killed

    def replace(self, path: Path) -> None:
        """Put a copy into the place of a segment: whoever has it open writes to what is lost."""
        self.failed = True
        self._world.strike(Fault.JOURNAL_REPLACED, "disk")
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)

    # ── what is durable ────────────────────────────────────────────────────

    def synced(self, path: Path) -> None:
        """Take in that all that was written to a segment is on the disk."""
        before = self._synced.get(path.name, 0)
        with path.open("rb") as file:
            file.seek(before)
            new = file.read()
        self._synced[path.name] = before + len(new)
        for watcher in self._watchers:
            watcher.synced(new)

    def cut(self, path: Path, size: int) -> None:
        """Take in that a segment was cut off."""
        self._synced[path.name] = min(size, self._synced.get(path.name, 0))
        self._written(path, size, sys.maxsize)

    def forget_pages(self, path: Path) -> None:
        """Take what was not synced for clean, as a kernel does after a sync that failed."""
        self._dropped[path.name] = (self._synced.get(path.name, 0), path.stat().st_size)

    def _written(self, path: Path, low: int, high: int) -> None:
        dropped = self._dropped.get(path.name)
        if dropped is not None and low <= dropped[0] and dropped[1] <= high:
            del self._dropped[path.name]

    def _pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Stand for ``pwrite`` of the recovery: what is written anew is no longer taken for clean."""
        self._written(_path_of(fd), offset, offset + len(data))
        return os.pwrite(fd, data, offset)

    def _fsync(self, fd: int) -> None:
        """Stand for ``fsync`` of the recovery, which also cuts."""
        path = _path_of(fd)
        self.cut(path, path.stat().st_size)
        self.synced(path)

    def sync_names(self, folder: Path) -> None:
        """Stand for ``sync_folder``: names that are not synced are lost with the power."""
        self._named.update(path.name for path in folder.iterdir())

    def lose_power(self) -> None:
        """Keep what was synced, and any part of the sectors behind it."""
        numbers = self._world.plan.numbers("sectors", self._world.life, self.commits)
        for path in self.segments:
            if path.name not in self._named and numbers.random() < 0.5:  # noqa: PLR2004
                path.unlink()
                continue
            path.write_bytes(self._after_power_loss(path, numbers))
        for path in sorted(self.layout.journal_dir.glob("*.snapshot")):
            if numbers.random() < 0.5:  # noqa: PLR2004 - it is not synced, and may be a part of itself
                path.write_bytes(path.read_bytes()[: numbers.randint(0, 200)])
        # A state that does not match its checksum is none.
        self._saved = {k: v for k, v in self._saved.items() if numbers.random() < 0.5}  # noqa: PLR2004

    def _after_power_loss(self, path: Path, numbers: random.Random) -> bytes:
        whole, synced = bytearray(path.read_bytes()), self._synced.get(path.name, 0)
        low, high = self._dropped.pop(path.name, (0, 0))
        whole[low:high] = bytes(len(whole[low:high]))
        data = bytes(whole)
        pending = bytearray(data[synced:])
        for start in range(synced - synced % _SECTOR, len(data), _SECTOR):
            if numbers.random() < 0.5:  # noqa: PLR2004 - each sector by itself
                low, high = max(0, start - synced), start + _SECTOR - synced
                pending[low:high] = bytes(len(pending[low:high]))
        return data[:synced] + bytes(pending[: numbers.randint(0, len(pending))])

    # ── what stands in for the product's surroundings ──────────────────────

    def seams(self, segment_bytes: int | None) -> list[Replacement]:
        """Return what lets the product's journal run on virtual time, on this disk.

        Args:
            segment_bytes: Size of the journal's segments; ``None``: the product's own.
        """
        world, threads = self._world, self.threads
        nanoseconds = SimpleNamespace(
            time_ns=lambda: int(world.now() * 1e9),
            monotonic_ns=lambda: int(world.monotonic() * 1e9),
        )
        journal = partial(Journal, files=partial(SimSegment, self), segment_bytes=segment_bytes)

        def lock(path: Path) -> ProjectLock:
            self.hold(taken := ProjectLock(path))
            return taken

        def nobody_knows(_: Path) -> int:
            return -1

        return [
            (_file, "Journal", journal),
            (_file, "ProjectLock", lock),
            (_file, "time", world),
            (_file, "os", _Overlay(os, getpid=lambda: world.life)),
            (_file, "socket", _Overlay(socket, gethostname=lambda: "simulated")),
            (_file, "uuid", _Overlay(uuid, uuid4=lambda: uuid.UUID(int=world.plan.seed))),
            (_file, "sync_folder", self.sync_names),
            (_segment, "sync_folder", self.sync_names),
            (
                _recovery,
                "os",
                _Overlay(os, pwrite=self._pwrite, fsync=self._fsync, fdatasync=self._fsync),
            ),
            (_recovery, "_SMALL", 0),  # no journal here is large, and large ones are read twice
            (_ballast, "os", _Overlay(os, posix_fallocate=self._reserve)),
            (_journal, "threading", threads.module()),
            (_journal, "queue", threads.queue_module()),
            (_journal, "time", nanoseconds),
            (_journal, "free_bytes", nobody_knows),
            (_space, "threading", threads.module()),
            (_space, "time", world),
            (_space, "free_bytes", nobody_knows),
            (_starting, "free_bytes", nobody_knows),
        ]


def _path_of(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()


class _Overlay:
    """A module of which some names are others."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
