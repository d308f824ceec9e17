"""A file that only takes space, to be dropped when there is none: the last records need some."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from aiotune._disk import open_private

__all__ = ("Ballast",)

SIZE = 1 << 20
"""Bytes; what a search records of its end takes some kilobytes."""


class Ballast:
    """Takes space while a project is open.

    Args:
        path: Where; beside the journal, so that it is on the same disk.

    A search that is stopped while the disk is full drops it, and so can record
    that its attempts were cancelled and that the project was closed. Without it
    they would count as lost when the project is opened again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> None:
        """Take the space, if there is as much; a disk that is too full for it is no reason to fail."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()  # of a program that was killed; or not ours at all
        try:
            fd = open_private(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except OSError:
            return
        try:
            os.posix_fallocate(fd, 0, SIZE)
        except OSError:
            self.drop()
        finally:
            os.close(fd)

    def drop(self) -> None:
        """Give the space back; may be called again."""
        with contextlib.suppress(OSError):  # gone, or its directory is: it was only space
            self._path.unlink()
