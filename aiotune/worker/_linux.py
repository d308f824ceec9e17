"""What Linux offers to tie processes together, and Python does not."""

from __future__ import annotations

import ctypes
import os
import resource
import warnings
from pathlib import Path

__all__ = (
    "adopts_orphans",
    "become_subreaper",
    "die_with_parent",
    "fork_quietly",
    "mark",
    "punch_hole",
    "set_name",
    "spare_the_host",
)

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_FALLOC_KEEP_SIZE = 0x01
_FALLOC_PUNCH_HOLE = 0x02

# Opened before any fork: a forked process should not have to load a library.
_libc = ctypes.CDLL(None, use_errno=True)

_OOM_SCORE = 500


def set_name(name: str) -> None:
    """Set what ``ps`` and ``top`` call this process; 15 bytes are shown."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def become_subreaper() -> None:
    """Become the parent of every orphan among the descendants."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def adopts_orphans() -> bool:
    """Whether this process becomes the parent of orphans: as the first of a container, or as a subreaper."""
    wanted = ctypes.c_int(0)
    _libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(wanted), 0, 0, 0)
    return os.getpid() == 1 or bool(wanted.value)


def die_with_parent(parent: int, signal: int) -> None:
    """Have the kernel send a signal to this process when its parent ends.

    It is bound to the thread that forked, so the parent must be single-threaded.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0))
    if os.getppid() != parent:  # it ended before it could be watched
        os._exit(0)


def fork_quietly() -> int:
    """Fork; see ``os.fork``.

    Python warns of a fork in a process with threads. Here they are the idle
    threads of libraries that were imported and not used, and a self-test
    proves for each nursery that its children work.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def mark(attempt_id: str) -> None:
    """Mark this process and all that it forks or executes as belonging to an attempt.

    ``/proc/<pid>/environ`` shows what a process was executed with, so the
    variable marks executed descendants only; the open descriptor marks forked ones.
    """
    os.environ["AIOTUNE_ATTEMPT"] = attempt_id
    if hasattr(os, "memfd_create"):
        os.memfd_create(f"aiotune-{attempt_id}", 0)  # held until this process ends


def spare_the_host() -> None:
    """Let the kernel's out-of-memory killer prefer this process, and let it write no core file."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    try:
        score = int(Path("/proc/self/oom_score_adj").read_text())
        Path("/proc/self/oom_score_adj").write_text(str(min(1000, score + _OOM_SCORE)))
    except OSError:
        return  # a sandbox without /proc: a preference, not a need


def punch_hole(fd: int, start: int, length: int) -> bool:
    """Give a part of a file back to the disk, without changing its size."""
    mode = _FALLOC_PUNCH_HOLE | _FALLOC_KEEP_SIZE
    offset, size = ctypes.c_longlong(start), ctypes.c_longlong(length)
    return int(_libc.fallocate(fd, mode, offset, size)) == 0


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
