"""One search per project: a lock that dies with its process."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
import weakref
from pathlib import Path

from aiotune import __version__
from aiotune.errors import ProjectError, ProjectLocked

__all__ = ("ProjectLock",)

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
"""How file systems say that they lock nothing: Lustre, NFS, others."""


class ProjectLock:
    """Holds ``LOCK`` with flock(2); the file's text is for the message only.

    Args:
        path: The lock file.

    Raises:
        ProjectLocked: Another process holds it.
        ProjectError: The file system gives no locks.
    """

    def __init__(self, path: Path) -> None:
        self._fd = self._acquire(path)
        try:
            self._sign()
        except BaseException:
            self.release()
            raise
        _held.add(self)

    def _sign(self) -> None:
        text = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "started": time.time(),
                "version": __version__,
            }
        )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    @staticmethod
    def _acquire(path: Path) -> int:
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 4096, 0)
                os.close(fd)
                raise ProjectLocked(_who(path, holder)) from None
            except OSError as error:
                os.close(fd)
                if error.errno not in _NO_LOCKS:
                    raise
                raise _without_locks(path, error) from error
            if _same_file(fd, path):
                return fd
            os.close(fd)  # it was deleted between opening and locking: a lock on nothing

    def release(self) -> None:
        """Let go; further calls do nothing."""
        _held.discard(self)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def forget_in_child(self) -> None:
        """Close the descriptor in a forked child, which would hold the lock as long as it lives."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_held: weakref.WeakSet[ProjectLock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_held):
        lock.forget_in_child()
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)


def _without_locks(path: Path, error: OSError) -> ProjectError:
    return ProjectError(
        f"The file system of {path.parent} gives no locks (flock: {error.strerror or error}), and without one two "
        "searches could write into the same project.",
        hint="Lustre gives them where it is mounted with `-o flock`, NFS where its lock service runs: ask who "
        "runs this machine. Or choose a directory=... on another disk, and copy the project when it is finished.",
    )


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _who(path: Path, holder: bytes) -> str:
    try:
        told = json.loads(holder)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told["started"]))
        who = f"pid {int(told['pid'])} on {told['host']!s:.64}, since {since}"
    except (ValueError, KeyError, TypeError):
        who = "a process that has not written its name yet"
    return (
        f"Another search holds the project {path.parent} ({who}). Wait for it, or choose another "
        "project_name."
    )
