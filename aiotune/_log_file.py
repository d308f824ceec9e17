"""The file of a log: appended to, made anew when it is large, patient with a full disk.

All of it may block, so a :class:`~aiotune._writer.Writer` calls it in a thread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from aiotune.errors import ProjectError

__all__ = ("LogFile",)

_ROTATE = 32 << 20
_KEPT = 1000
"""Lines kept while there is no space for them."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class LogFile:
    """Appends lines of ASCII to a file.

    Args:
        path: The file; one that is full is kept as ``.1`` beside it.

    Attributes:
        path: The file.
        behind: Whether lines found no space; they are written with the next ones.

    Raises:
        ProjectError: The file cannot be opened, or is a symbolic link.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.behind = False
        self._fd = _open(path)
        self._waiting: list[bytes] = []

    def write(self, lines: Sequence[str]) -> None:
        """Write lines, and those before them that found no space.

        Raises:
            OSError: They cannot be written, and that is not for want of space.
            ProjectError: A full file was put aside, and no new one can be opened.
        """
        self._waiting += [line.encode("ascii") for line in lines]
        if not self._waiting:
            return
        data = memoryview(b"\n".join(self._waiting) + b"\n")
        self._waiting = []
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            self._rotate()
        except OSError as error:
            if error.errno not in _FULL:
                raise
            # The first may be the rest of a line, so it stays; then as many as are kept without a file.
            self._waiting = bytes(data[:-1]).split(b"\n") if data else []
            del self._waiting[1:-_KEPT]
        self.behind = bool(self._waiting)

    def show(self, moment: None) -> None:
        """Do nothing: a file has no moments."""

    def close(self) -> None:
        """Try once more to write what found no space, and let go of the file."""
        try:
            self.write(())
        finally:
            self._let_go()

    def _rotate(self) -> None:
        if os.fstat(self._fd).st_size > _ROTATE:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            self._let_go()
            self._fd = _open(self.path)

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # A search that is cancelled while the file is opened has nobody to close it.
        if hasattr(self, "_fd"):
            self._let_go()


def _open(path: Path) -> int:
    try:
        # What a link points at may not be ours to append to.
        return os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise ProjectError(
            f"The log {path} cannot be opened: {error.strerror}.",
            hint="It must be a plain file that you may write, or not exist.",
            path=str(path),
        ) from error
