"""What trials in processes need of the kernel, and what to say where it is refused."""

from __future__ import annotations

import contextlib
import errno
import os

from aiotune.errors import SpawnError

__all__ = ("pidfd_of", "reap")

_REFUSALS = {errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL}


def pidfd_of(pid: int) -> int:
    """Return a descriptor of a process, which stays that process's when the number is another's.

    Raises:
        SpawnError: The kernel, or a sandbox, has none.
        OSError: The process is gone, or too many files are open.
    """
    if not hasattr(os, "pidfd_open"):
        raise _missing("this Python was built without it")
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise _missing(error.strerror or str(error)) from error


def _missing(reason: str) -> SpawnError:
    return SpawnError(
        f"Trials in processes of their own need pidfd_open(2), which this system refuses ({reason}; its kernel "
        f"calls itself {os.uname().release}).",
        hint="Linux has it since 5.3. On a newer kernel a sandbox refuses it, such as the seccomp profile of an old "
        "Docker, or gVisor: use a newer one, or one that allows it. executor='inline' runs trials in this process, "
        "one at a time.",
    )


def reap(pidfd: int) -> None:
    """Reap a process that has ended, should it be this one's child.

    A keeper, or what it kept, becomes one where this program is the first process of a container
    and the process in between has died. Nobody else would reap it, and its number stays taken.
    """
    with contextlib.suppress(OSError):  # another's child, or Linux 5.3, which waits for no pidfd
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
