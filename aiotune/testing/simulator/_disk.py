"""A disk that can be full, slow, broken or without power, and the store that writes to it."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from aiotune import __version__
from aiotune.errors import ProjectLocked, StorageError
from aiotune.events import Event, ProjectClosed, ProjectCreated, ProjectOpened
from aiotune.store import Layout
from aiotune.store._codec import decode_line, encode_line
from aiotune.store._recovery import Recovered, recover
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._world import Watcher, World
from aiotune.wire import Done, RunAttempt

__all__ = ("SimDisk", "SimStore")

_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a fresh folder in it
_SECTOR = 512
_SYNC, _SLOW_SYNC = 0.002, 20.0
_LOOKS_FOR_SPACE = 5.0
_FULL_FOR = (30.0, 400.0)


class SimDisk:
    """The bytes of one project, and what happens to them.

    Args:
        world: Whose disk.

    Attributes:
        data: The journal as a reader would find it now.
        synced: How much of it a power failure leaves alone.
        results: What workers have written down, by path.
        holder: The store that holds the lock.
        commits: How many batches this life has begun to write.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._watchers: list[Watcher] = []
        self.data = b""
        self.synced = 0
        self.results: dict[str, Done] = {}
        self._saved: dict[str, tuple[int, int]] = {}
        self.holder: SimStore | None = None
        self.commits = 0
        self._due: dict[int, list[Fault]] = {}
        self._full_until = 0.0

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody what becomes durable."""
        self._watchers.append(watcher)

    def schedule(self, commit: int, fault: Fault) -> None:
        """Let a fault happen at a commit of this life."""
        self._due.setdefault(commit, []).append(fault)

    def new_life(self) -> None:
        """Begin to count commits anew; nobody holds the lock of a process that is gone."""
        self._due.clear()
        self.commits, self.holder, self._full_until = 0, None, 0.0

    def save(self, order: RunAttempt, epochs: int) -> None:
        """Keep the state of a trial's training."""
        self._saved[order.trial_dir] = (order.retry, epochs)

    def saved_epochs(self, order: RunAttempt) -> int:
        """Return how far a trial's training was saved; a trial that failed is trained afresh."""
        retry, epochs = self._saved.get(order.trial_dir, (order.retry, 0))
        return epochs if retry == order.retry else 0

    def takes(self, fault: Fault) -> bool:
        """Whether a fault is due at the present commit; it happens once."""
        due = self._due.get(self.commits, [])
        if fault not in due:
            return False
        due.remove(fault)
        return True

    def is_full(self) -> bool:
        """Whether there is no space now."""
        if self.takes(Fault.DISK_FULL):
            numbers = self._world.plan.numbers("full", self._world.life, self.commits)
            self._full_until = self._world.monotonic() + numbers.uniform(*_FULL_FOR)
            self._world.strike(Fault.DISK_FULL, "disk")
        return self._world.monotonic() < self._full_until

    def write(self, data: bytes) -> None:
        """Append to the file, which is not yet to say to the disk."""
        self.data += data

    def sync(self) -> None:
        """Make durable what was written."""
        new, self.synced = self.data[self.synced :], len(self.data)
        for watcher in self._watchers:
            watcher.synced(new)

    def lose_power(self, numbers: random.Random) -> None:
        """Keep what was synced, and any part of the sectors behind it."""
        pending = bytearray(self.data[self.synced :])
        first = self.synced - self.synced % _SECTOR
        for start in range(first, len(self.data), _SECTOR):
            if numbers.random() < 0.5:  # noqa: PLR2004 - each sector by itself
                low, high = max(0, start - self.synced), start + _SECTOR - self.synced
                pending[low:high] = bytes(len(pending[low:high]))
        kept = numbers.randint(0, len(pending))
        self.data = self.data[: self.synced] + bytes(pending[:kept])
        # A state that does not match its checksum is none.
        self._saved = {k: v for k, v in self._saved.items() if numbers.random() < 0.5}  # noqa: PLR2004

    def recover(self) -> Recovered:
        """Read the journal as the product does, from a real file, and repair it there."""
        with tempfile.TemporaryDirectory(prefix="aiotune-simulated-", dir=_IN_MEMORY) as name:
            path = Path(name) / "000001.jsonl"
            if self.data:
                path.write_bytes(self.data)
            recovered = recover(Path(name), repair=True)
            self.data = path.read_bytes() if self.data else b""
        self.synced = min(self.synced, len(self.data))
        return recovered

    def events(self) -> list[Event]:
        """Return what the product's codec reads of a journal that is whole."""
        read = [decode_line(line)[1] for line in self.data.splitlines(keepends=True)]
        return [event for event in read if event is not None]

    # ── what stands in for functions of the product ────────────────────────

    async def open_project(self, layout: Layout, *, overwrite: bool = False) -> SimStore:
        """Take the project, as ``aiotune.store.open_project`` does.

        Raises:
            ProjectLocked: A store of this life holds it.
        """
        if self.holder is not None:
            raise ProjectLocked("Another search holds the simulated project.")
        recovered = self.recover()
        if recovered.cut:
            self._world.say("disk", f"a torn tail of {recovered.cut} bytes was cut")
        store = self.holder = SimStore(self._world, self, recovered)
        opened = ProjectOpened(
            pid=self._world.life, host="simulated", opened=self._world.now(), version=__version__
        )
        created = ProjectCreated(
            format=1, project_id="simulated", created=opened.opened, version=__version__
        )
        await store.append(*([] if recovered.events else [created]), opened)
        return store

    def read_result(self, path: Path) -> Done | None:
        """Return what a worker has written down."""
        return self.results.get(str(path))


class _Commit:
    """Stands for the durability of what was appended up to a point."""

    __slots__ = ("_store", "_ticket")

    def __init__(self, store: SimStore, ticket: int) -> None:
        self._store, self._ticket = store, ticket

    def __await__(self) -> Generator[object, None, None]:
        return self._store.wait_for(self._ticket).__await__()


class SimStore:
    """Keeps the promises of ``Store`` with a writer on virtual time in the place of a thread.

    Group commit, batch after batch: what gathers while one is being synced is
    the next one. A full disk is waited for; any other failure is final.
    """

    def __init__(self, world: World, disk: SimDisk, recovered: Recovered) -> None:
        self._world, self._disk = world, disk
        self._history, self._seq = recovered.events, recovered.next_seq
        self._queue: list[Event] = []
        self._appended = self._durable = 0
        self._busy = self._closed = self._told = False
        self._error: StorageError | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def history(self) -> Sequence[Event]:
        """Return what was there."""
        return self._history

    def append(self, *events: Event) -> _Commit:
        """Queue events.

        Raises:
            StorageError: The store is closed, or a write has failed.
        """
        if self._error is not None:
            self._told = True
            raise self._error
        if self._closed:
            raise StorageError("The simulated project is closed.")
        return self._append(events)

    def _append(self, events: Sequence[Event]) -> _Commit:
        if events and not self._world.dead:
            self._queue += events
            self._appended += len(events)
            if not self._busy:
                self._busy = True
                self._world.running.call_soon(self._begin)
        return _Commit(self, self._appended)

    async def wait_for(self, ticket: int) -> None:
        """Return when everything up to a ticket is durable."""
        if self._durable < ticket and self._error is None:
            future = self._world.running.create_future()
            self._waiters.append((ticket, future))
            await future
        if self._error is not None and self._durable < ticket:
            self._told = True
            raise self._error

    async def aclose(self) -> None:
        """Make everything durable, record the close, let go."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.wait_for(self._appended)
            if self._error is None:
                await self._append([ProjectClosed(at=self._world.now())])
        except StorageError:
            if not self._told:
                raise
        finally:
            self._disk.holder = None

    # ── the writer ─────────────────────────────────────────────────────────

    def _begin(self) -> None:
        """Write what has gathered."""
        world, disk = self._world, self._disk
        if world.dead or not self._queue:
            self._busy = False
            return
        disk.commits += 1
        self._write()

    def _write(self) -> None:
        world, disk = self._world, self._disk
        if world.dead:
            return
        if disk.is_full():
            world.running.call_later(_LOOKS_FOR_SPACE, self._write)
            return
        if disk.takes(Fault.KILLED_BEFORE_WRITE):
            world.die(Fault.KILLED_BEFORE_WRITE, f"{len(self._queue)} records were never written")
            return
        try:
            ticket, data = self._appended, self._encoded()
        except ValueError as error:  # the product's own writer ends with it, too
            world.wrong("I24", f"a record cannot be written: {error}")
            self._error = StorageError(str(error))
            self._notify()
            return
        torn = world.plan.numbers("torn", world.life, disk.commits).randint(0, len(data))
        if disk.takes(Fault.KILLED_IN_WRITE):
            disk.write(data[:torn])
            world.die(Fault.KILLED_IN_WRITE, f"after {torn} of {len(data)} bytes")
        elif disk.takes(Fault.WRITE_ERROR):
            disk.write(data[:torn])
            self._fail(Fault.WRITE_ERROR)
        else:
            disk.write(data)
            self._wait_for_sync(ticket)

    def _encoded(self) -> bytes:
        since = int(self._world.monotonic() * 1e9)
        batch, at = len(self._disk.data), int(self._world.now() * 1e9)
        lines = [
            encode_line(event, seq=self._seq + i, batch=batch, at=at, since=since)
            for i, event in enumerate(self._queue)
        ]
        self._seq += len(lines)
        self._queue.clear()
        return b"".join(lines)

    def _wait_for_sync(self, ticket: int) -> None:
        world, disk = self._world, self._disk
        if disk.takes(Fault.KILLED_BEFORE_SYNC):
            world.die(Fault.KILLED_BEFORE_SYNC)
        elif disk.takes(Fault.POWER_LOSS):
            world.die(Fault.POWER_LOSS)
            disk.lose_power(world.plan.numbers("sectors", world.life, disk.commits))
        elif disk.takes(Fault.SYNC_ERROR):
            self._fail(Fault.SYNC_ERROR)
        else:
            slow = disk.takes(Fault.SLOW_SYNC)
            if slow:
                world.strike(Fault.SLOW_SYNC, "disk")
            world.running.call_later(_SLOW_SYNC if slow else _SYNC, self._synced, ticket)

    def _synced(self, ticket: int) -> None:
        if self._world.dead:
            return
        self._disk.sync()
        if self._disk.takes(Fault.KILLED_AFTER_SYNC):
            self._world.die(Fault.KILLED_AFTER_SYNC)
            return
        self._durable = ticket
        self._notify()
        self._begin()

    def _fail(self, fault: Fault) -> None:
        self._world.strike(fault, "disk")
        self._error = StorageError(f"Writing to the simulated journal failed: {fault.value}.")
        self._notify()

    def _notify(self) -> None:
        left = []
        for ticket, future in self._waiters:
            if ticket <= self._durable or self._error is not None:
                if not future.done():
                    future.set_result(None)
            else:
                left.append((ticket, future))
        self._waiters = left
