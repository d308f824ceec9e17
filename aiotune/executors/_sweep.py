"""Finds and ends the processes of an attempt whose keeper was killed."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ("marked_processes", "sweep")

_ROUNDS = 100
_PATIENCE_MS = 100


def sweep(attempt_ids: Iterable[str]) -> int:
    """Kill every process of this user that is marked with one of these attempts.

    Looks at all of ``/proc``, so it does not belong on an event loop.

    Returns:
        How many were killed; on return they are gone.
    """
    ids = tuple(attempt_ids)
    swept: set[int] = set()
    for _ in range(_ROUNDS):  # new ones may be forked while the known ones die
        found = list(marked_processes(ids))
        if not found:
            break
        for pid in found:
            if _kill(pid, ids):
                swept.add(pid)
    return len(swept)


def marked_processes(attempt_ids: Iterable[str]) -> Iterator[int]:
    """Yield the processes of this user that are marked with one of these attempts."""
    ids = tuple(attempt_ids)
    own, me = os.getuid(), os.getpid()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == me:
            continue
        try:
            if entry.stat().st_uid == own and _is_marked(entry, ids):
                yield int(entry.name)
        except OSError:
            continue  # it ended while it was looked at


def _is_marked(entry: Path, ids: tuple[str, ...]) -> bool:
    variables = {f"AIOTUNE_ATTEMPT={attempt}".encode() for attempt in ids}
    if not variables.isdisjoint((entry / "environ").read_bytes().split(b"\0")):
        return True
    # A forked process shows the environment of the process it was forked
    # from; the descriptor that it inherited tells the truth.
    names = {f"/memfd:aiotune-{attempt} (deleted)" for attempt in ids}
    return any(_target(link) in names for link in (entry / "fd").iterdir())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""  # closed while it was looked at


def _kill(pid: int, ids: tuple[str, ...]) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # Looked at again with the pidfd in hand: the pid cannot be another's now.
        if not _is_marked(Path(f"/proc/{pid}"), ids):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(_PATIENCE_MS)
    except OSError:
        return False  # it ended by itself
    finally:
        os.close(pidfd)
    return True
