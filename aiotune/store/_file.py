"""A project directory: made, locked, repaired, opened, discarded."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any

from aiotune import __version__
from aiotune._disk import folder_within, sync_folder
from aiotune._layout import Layout
from aiotune._printable import printable
from aiotune._threads import start_in_thread
from aiotune.errors import ProjectError
from aiotune.events import Event, ProjectClosed, ProjectCreated, ProjectOpened
from aiotune.store._ballast import Ballast
from aiotune.store._journal import Commit, Journal
from aiotune.store._lock import ProjectLock
from aiotune.store._outlast import BegunInAnyCase, outlast
from aiotune.store._ownership import refuse_shared
from aiotune.store._recovery import Recovered, recover, segment_paths
from aiotune.store._space import DiskPause

__all__ = ("FORMAT", "FileStore", "open_project", "read_events")

FORMAT = 1


class FileStore:
    """A project directory that this process holds; made by :func:`open_project`.

    Attributes:
        layout: The project's paths.
        repaired: How many bytes of a torn tail were cut off when it was opened.
        closed: Whether the project was let go of, or is being so.
    """

    def __init__(self, layout: Layout, lock: ProjectLock, recovered: Recovered) -> None:
        self.layout = layout
        self.repaired = recovered.cut
        self._lock = lock
        self._history = recovered.events
        ballast = Ballast(layout.journal_dir / "ballast.bin")
        self._journal = Journal(layout.journal_dir, recovered, ballast=ballast)
        self.closed = False

    def history(self) -> Sequence[Event]:
        """Return the events that were there when the project was opened; each look reads them anew."""
        return self._history

    def append(self, *events: Event) -> Commit:
        """Queue events; see :class:`~aiotune.store.Store`."""
        return self._journal.append(events)

    def on_pause(self, told: Callable[[DiskPause], None]) -> None:
        """Call a function, on the event loop, when the disk is full, and when there is space again."""
        self._journal.on_pause = told

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Record the close, and let go of the project even if the caller is cancelled, meanwhile or before.

        Raises:
            StorageError: What nobody waited for could not be written.
        """
        return BegunInAnyCase(self._aclose())

    async def _aclose(self) -> None:
        self.closed = True
        try:
            # In a batch of its own: a finished project is then covered by a
            # later batch, so damage to any part of it is seen.
            await self._journal.aclose(last=ProjectClosed(at=time.time()))
        finally:
            # What hangs may still be written: until this program ends nobody else may write there.
            if not self._journal.hangs:
                self._lock.release()


async def open_project(
    layout: Layout,
    *,
    overwrite: bool = False,
    allow_shared: bool = False,
    beside: Collection[str] = (),
) -> FileStore:
    """Take a project directory, making it if need be.

    Args:
        layout: Where it is.
        overwrite: Discard what is there, if it is a project of ours.
        allow_shared: Use it although it is another user's, or others may write to it.
        beside: Files that may be there before there is a project.

    Raises:
        ProjectLocked: Another process holds it.
        JournalCorrupt: Its journal is damaged.
        ProjectError: The directory belongs to something else, or cannot be used.
    """
    opening = start_in_thread(_open, layout, overwrite, allow_shared, frozenset(beside))
    cancelled = await outlast(opening)
    if cancelled is not None and not opening.done():
        raise cancelled  # the lock, if it gets it, ends with this program
    try:
        store = opening.result()
    except OSError as error:
        raise ProjectError(
            f"The project directory {layout.project_dir} cannot be used: {error.strerror or error}.",
            hint="Choose a directory=... that you can write to.",
        ) from error
    if cancelled is not None:
        await store.aclose()
        raise cancelled
    try:
        await store.append()
    except BaseException:
        await store.aclose()
        raise
    return store


def read_events(layout: Layout) -> list[Event]:
    """Read a project's events without holding it; an unfinished last line is left out.

    Raises:
        JournalCorrupt: The journal is damaged.
        ProjectError: It cannot be read, or was discarded in this moment.
    """
    try:
        if not layout.journal_dir.is_dir():
            return []
        return list(recover(layout.journal_dir, repair=False).events)
    except OSError as error:
        raise ProjectError(
            f"The journal in {layout.journal_dir} cannot be read: {error.strerror or error}.",
            hint="Give this user read permission, or read again if another search just discarded it.",
        ) from error


def _open(layout: Layout, overwrite: bool, allow_shared: bool, beside: frozenset[str]) -> FileStore:
    """Return a store whose first records are on their way."""
    project = layout.project_dir
    _make(project, allow_shared=allow_shared)
    # Before the lock is written: another program's directory may have a LOCK of its own.
    _refuse_foreign(layout, beside)
    lock = ProjectLock(layout.lock_file)
    try:
        if _is_half_discarded(layout) or (overwrite and _has_journal(layout)):
            _discard(layout)
        with folder_within(project, layout.journal_dir, make=True):
            pass  # made, if need be, and no link to another project's
        sync_folder(project)
        recovered = recover(layout.journal_dir, repair=True, keep=False)
        store = FileStore(layout, lock, recovered)
    except BaseException:
        lock.release()
        raise
    opened = ProjectOpened(
        pid=os.getpid(), host=socket.gethostname(), opened=time.time(), version=__version__
    )
    if recovered.next_seq:
        store.append(opened)
    else:
        created = ProjectCreated(
            format=FORMAT, project_id=uuid.uuid4().hex, created=opened.opened, version=__version__
        )
        store.append(created, opened)
    return store


def _make(project: Path, *, allow_shared: bool) -> None:
    if project.exists() and not project.is_dir():
        raise ProjectError(
            f"{project} is a file, so it cannot be a project directory. Choose another project_name."
        )
    project.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        project.mkdir(mode=0o700)
        return
    if not allow_shared:
        refuse_shared(project)


def _has_journal(layout: Layout) -> bool:
    # Any segment: a project whose first one is lost is damaged, and not somebody else's.
    return bool(segment_paths(layout.journal_dir))


def _is_half_discarded(layout: Layout) -> bool:
    return any(layout.project_dir.glob(".discarded-*"))


# A tuner's state is there before any search if the program calls tuner.save() first.
_OWN_NAMES = frozenset({"LOCK", "journal", "events.log", "nursery.log", "probe.log", "tuner0.json"})


def _refuse_foreign(layout: Layout, beside: frozenset[str]) -> None:
    if _has_journal(layout) or _is_half_discarded(layout):
        return
    if any(layout.project_dir.glob(".mended-*")):
        raise ProjectError(
            f"A repair of {layout.project_dir} was stopped half way.",
            hint=f"Finish it with `aiotune doctor {layout.project_dir} --repair`.",
        )
    known = _OWN_NAMES | beside
    foreign = sorted(p.name for p in layout.project_dir.iterdir() if p.name not in known)
    if not foreign:
        return
    if "oracle.json" in foreign:
        raise ProjectError(
            f"{layout.project_dir} holds a project of KerasTuner.",
            hint="Choose another project_name, and to go on with its trials take it over there: aiotune "
            f"import-kerastuner {layout.project_dir} --into {layout.project_dir.parent} --project-name ANOTHER.",
        )
    raise ProjectError(
        f"{layout.project_dir} is not empty and not a project of aiotune; it holds "
        f"{', '.join(printable(n, 60) for n in foreign[:3])}{' and more' if len(foreign) > 3 else ''}.",  # noqa: PLR2004
        hint="Choose another project_name, or empty the directory.",
    )


def _discard(layout: Layout) -> None:
    """Empty a project of ours that we hold: aside first, so that a kill leaves no half of it."""
    project = layout.project_dir
    aside = project / f".discarded-{uuid.uuid4().hex[:8]}"
    aside.mkdir(mode=0o700)
    # The journal goes first: without it nothing here counts as a project.
    names = sorted(project.iterdir(), key=lambda p: p.name != "journal")
    for path in names:
        if path.name not in {"LOCK", aside.name}:
            path.rename(aside / path.name)
    sync_folder(project)
    for leftover in project.glob(".discarded-*"):
        shutil.rmtree(leftover)
