"""What can be said of a project's files without reading what they record."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiotune._disk import PARTIAL, free_bytes, read_private
from aiotune._layout import Layout
from aiotune.checkup._finding import Finding, Weight
from aiotune.store._ownership import foreign_link, owner_of, writers_of

__all__ = ("held_by", "look_at_files", "open_to_others", "walk")

_LOCKS = Path("/proc/locks")
_LITTLE = 256 << 20
_STATES = frozenset({"oracle.json", "tuner0.json"})
_MOST = 3
"""How many files of one kind are named; the others are counted."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def look_at_files(layout: Layout) -> Iterator[Finding]:
    """Look at who may do what, at what is left over, and at states; open no journal."""
    yield from _lock(layout)
    yield from _directory(layout.project_dir)
    yield from _rights(layout.project_dir)
    yield from _leftovers(layout)
    yield from _states(layout)
    yield from _space(layout.project_dir)


# ── who holds it ───────────────────────────────────────────────────────────


def held_by(layout: Layout) -> int | None:
    """Return the process that holds a project; ``None``: nobody does.

    The kernel's list is read instead of trying the lock: a search that begins
    at that moment must not be refused because somebody looks.
    """
    try:
        info = layout.lock_file.lstat()
        locks = _LOCKS.read_text(encoding="ascii")
    except OSError:
        return None
    for line in locks.splitlines():
        # 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF
        _, kind, _, _, pid, file, *_ = line.split()
        device, _, inode = file.rpartition(":")
        if kind == "FLOCK" and inode == str(info.st_ino) and _is_lock_of(int(pid), device, info):
            return int(pid)
    return None


def _is_lock_of(pid: int, device: str, info: os.stat_result) -> bool:
    """Whether a lock of a file with this number is one of this file, and not of another disk's."""
    if device == f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}":
        return True
    # Of some file systems (btrfs) the kernel's list names another device than stat() does.
    try:
        opened = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return True  # another user's process, which cannot be asked
    for path in opened:
        with contextlib.suppress(OSError):  # closed while it was looked at
            if os.path.samestat(path.stat(), info):
                return True
    return False


def _lock(layout: Layout) -> Iterator[Finding]:
    path = layout.lock_file
    if not path.is_symlink() and not path.exists():
        return
    if not stat.S_ISREG(path.lstat().st_mode):
        yield Finding(
            "lock",
            Weight.FAULT,
            f"{path} is a link or no plain file, so every search refuses the project.",
            "Remove it; a search makes another.",
            path,
            "aside",
        )
        return
    holder, told = held_by(layout), _told_by(path)
    if holder is not None:
        yield Finding(
            "lock",
            Weight.NOTE,
            f"A search holds the project: process {holder}{told}. What follows may change meanwhile.",
            "Wait for its end before a repair.",
            path,
        )


def _told_by(path: Path) -> str:
    try:
        told: dict[str, Any] = json.loads(read_private(path))
        return f" on {str(told['host'])[:64]}, aiotune {str(told['version'])[:32]}"
    except (OSError, ValueError, KeyError, TypeError):
        return f" of {socket.gethostname()}"


# ── who may do what ────────────────────────────────────────────────────────


def _directory(project: Path) -> Iterator[Finding]:
    owner, writers, link = owner_of(project), writers_of(project), foreign_link(project)
    override = "or pass allow_shared=True"
    if owner is not None:
        what = f"The project belongs to {owner}, so a search of yours refuses it."
        yield Finding(
            "owner", Weight.FAULT, what, f"Work with a copy of your own, {override}.", project
        )
    if writers is not None:
        who, right = writers
        what = f"The project may be written to by {who}, so a search refuses it."
        remedy = f"chmod {right} {project}, {override}."
        yield Finding("owner", Weight.FAULT, what, remedy, project, "private")
    if link is not None:
        what = f"The way to it leads through {link}, which is another user's link, so a search refuses it."
        yield Finding(
            "owner", Weight.FAULT, what, f"Name the directory itself, {override}.", project
        )


def _rights(project: Path) -> Iterator[Finding]:
    """Name what others may read, and links, which a search does not follow."""
    links, foreign = [], []
    for path in walk(project):
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            links.append(path)
        elif info.st_uid != os.geteuid():
            foreign.append(path)
    shared = open_to_others(project)
    if shared:
        what = f"Others may read or write {_some(project, shared)}."
        remedy = f"chmod -R go-rwx {project}"
        yield Finding("files", Weight.NOTE, what, remedy, project, "private")
    if foreign:
        what = f"Another user owns {_some(project, foreign)}."
        remedy = "A search may be unable to write there: chown."
        yield Finding("files", Weight.FAULT, what, remedy, project)
    if links:
        what = f"A search does not follow links: {_some(project, links)}."
        yield Finding("files", Weight.NOTE, what, "Put what they lead to there.", project)


def _some(project: Path, paths: list[Path]) -> str:
    named = ", ".join(str(path.relative_to(project)) for path in paths[:_MOST])
    return named if len(paths) <= _MOST else f"{named} and {len(paths) - _MOST} more"


def open_to_others(project: Path) -> list[Path]:
    """Return the files and folders of ours that others may read or write."""
    found = []
    for path in walk(project):
        info = path.lstat()
        ours = info.st_uid == os.geteuid() and not stat.S_ISLNK(info.st_mode)
        if ours and info.st_mode & _OTHERS:
            found.append(path)
    return found


def walk(project: Path) -> Iterator[Path]:
    """Yield a project's directory and all that is below it, links not followed."""
    yield project
    for folder, folders, files in os.walk(project):
        # What was put aside, or is a user's own folder of results, is still part of the project.
        yield from (Path(folder) / name for name in (*folders, *files))


# ── what is left over ──────────────────────────────────────────────────────


def _leftovers(layout: Layout) -> Iterator[Finding]:
    project = layout.project_dir
    partial = [
        p for p in walk(project) if p.name.startswith(PARTIAL) or p.name.endswith(".json.tmp")
    ]
    for path in partial:
        what = f"{path.relative_to(project)} was not finished when its writer was killed."
        yield Finding("leftovers", Weight.NOTE, what, "It is of no use: remove it.", path, "aside")
    for path in sorted(project.glob(".discarded-*")):
        what = f"{path.name}: a search was told to overwrite the project, and stopped half way."
        yield Finding(
            "leftovers", Weight.FAULT, what, "The next search removes all that is here.", path
        )
    for path in sorted(project.glob(".mending-*")):
        what = f"{path.name} is a repair that was stopped."
        yield Finding("leftovers", Weight.NOTE, what, "It is of no use: remove it.", path, "aside")
    for path in sorted(project.glob("damaged-*")):
        what = f"{path.name} holds what earlier repairs have put aside."
        yield Finding("leftovers", Weight.NOTE, what, "Remove it when nobody needs it.", path)
    torn = sorted(layout.journal_dir.glob("torn-*.bin"))
    if torn:
        size = sum(path.stat().st_size for path in torn)
        what = f"{len(torn)} unfinished batches ({size} bytes) were cut off the journal and kept."
        yield Finding("leftovers", Weight.NOTE, what, "", torn[0])


def _states(layout: Layout) -> Iterator[Finding]:
    """Look whether what subclasses keep beside the journal can be read.

    A file of another name is a tuner's state only if its program says so by ``tuner_id``;
    as often it is the user's own, and may hold what it likes.
    """
    for path in sorted(layout.project_dir.glob("*.json")):
        try:
            readable = isinstance(json.loads(read_private(path)), dict)
        except (OSError, ValueError, RecursionError):
            readable = False
        if readable:
            continue
        if path.name not in _STATES:
            what = (
                f"{path.name} holds no state; a search of a tuner with that tuner_id may refuse it."
            )
            yield Finding("state", Weight.NOTE, what, "", path)
        else:
            what = f"{path.name}, the state of a tuner or an oracle, cannot be read, so a search is refused."
            remedy = "Remove it: trials do not depend on it."
            yield Finding("state", Weight.FAULT, what, remedy, path, "aside")


def _space(project: Path) -> Iterator[Finding]:
    free = free_bytes(project)
    if 0 <= free < _LITTLE:
        what = f"{free >> 20} MiB are free on its disk."
        yield Finding("disk", Weight.NOTE, what, "A search waits when there is no space.", project)
    found = os.statvfs(project)
    if found.f_files and not found.f_favail:
        what = "No more files can be made on its disk, although there may be space."
        yield Finding("disk", Weight.FAULT, what, "Remove files you do not need.", project)
