"""Finds and ends the processes of an attempt whose keeper was killed.

An attempt's id alone does not tell whose it is: the copy of a project whose search
runs names the same attempts. So what a keeper of another living program sees to is
left alone: that keeper ends it when it has to be ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from aiotune.executors._kernel import reap

__all__ = ("left_processes", "marked_processes", "reap_keepers", "sweep")

_ROUNDS = 100
_PATIENCE_MS = 100
_KEEPER = "aiotune-keeper"[:15]  # as much of a name as the kernel keeps


def sweep(attempt_ids: Iterable[str]) -> int:
    """Kill every process that :func:`left_processes` yields.

    Looks at all of ``/proc``, so it does not belong on an event loop.

    Returns:
        How many were killed; on return they are gone.
    """
    ids = tuple(attempt_ids)
    swept: set[int] = set()
    for _ in range(_ROUNDS):  # new ones may be forked while the known ones die
        found = list(left_processes(ids))
        if not found:
            break
        for pid in found:
            if _kill(pid, ids):
                swept.add(pid)
    return len(swept)


def left_processes(attempt_ids: Iterable[str]) -> Iterator[int]:
    """Yield the marked processes that no other living program sees to."""
    return (pid for pid in marked_processes(attempt_ids) if not _is_seen_to(pid))


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


def reap_keepers() -> None:
    """Reap the keepers that a dead nursery has left to this process, ended and not reaped.

    Only what has the name of ours: the program's own children are for the program to wait for.
    """
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that ended, or a kernel without such lists
            for pid in map(int, (task / "children").read_text(encoding="ascii").split()):
                _reap_keeper(pid)


def _reap_keeper(pid: int) -> None:
    with contextlib.suppress(OSError):  # who has its pidfd was faster
        name, state, _ = _state(pid)
        if name == _KEEPER and state == "Z":
            os.waitpid(pid, os.WNOHANG)


def _is_marked(entry: Path, ids: tuple[str, ...]) -> bool:
    variables = {f"AIOTUNE_ATTEMPT={attempt}".encode() for attempt in ids}
    if not variables.isdisjoint((entry / "environ").read_bytes().split(b"\0")):
        return True
    # A forked process shows the environment of the process it was forked
    # from; the descriptor that it inherited tells the truth.
    names = {f"/memfd:aiotune-{attempt} (deleted)" for attempt in ids}
    return any(_target(link) in names for link in (entry / "fd").iterdir())


def _is_seen_to(pid: int) -> bool:
    """Whether a keeper of another living program is above a process."""
    try:
        name, _, parent = _state(pid)
        while name != _KEEPER:
            if parent <= 1:
                return False
            pid = parent
            name, _, parent = _state(pid)
        return any(map(_is_other_program, _owners(pid)))
    except (OSError, ValueError):
        return False  # one of them has ended meanwhile


def _owners(keeper: int) -> Iterator[int]:
    """Yield the processes whose pidfds a keeper holds, but for its own worker."""
    for path in Path(f"/proc/{keeper}/fdinfo").iterdir():
        with contextlib.suppress(OSError):  # closed, or ended, while it was looked at
            for line in path.read_text(encoding="ascii").splitlines():
                key, _, value = line.partition(":")
                if key == "Pid" and int(value) > 0 and _state(int(value))[2] != keeper:
                    yield int(value)


def _is_other_program(pid: int) -> bool:
    # What this program has given up at the end of an earlier search is its own to sweep.
    return pid != os.getpid() and _state(pid)[1] not in "ZX"


def _state(pid: int) -> tuple[str, str, int]:
    """Return the name of a process, its state as a letter, and its parent."""
    # 4711 (any name) S 1 ...
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    name, _, rest = text.partition("(")[2].rpartition(") ")
    state, parent, *_ = rest.split()
    return name, state, int(parent)


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
        reap(pidfd)
    except OSError:
        return False  # it ended by itself
    finally:
        os.close(pidfd)
    return True
