"""Files that are this user's alone, at places that nobody else can have prepared; and what a full disk says.

Whoever may write to a directory can put a link there before us. So what is
written is made under a name that cannot be known beforehand, opened so that a
link is an error, and moved to its place; and folders within a project are
opened one by one, from the project down, so that no link leads out of it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = (
    "PARTIAL",
    "folder_within",
    "free_bytes",
    "is_full",
    "open_private",
    "read_private",
    "replace_file",
    "sha256_of",
    "sync_folder",
    "tells_full",
    "write_private",
)

PARTIAL = ".partial-"
"""What the name of a file begins with that is not whole yet; one that is found was left by a kill."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ERRNO = re.compile(r"\berrno = (\d+)\b")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


# ── a full disk ────────────────────────────────────────────────────────────


def is_full(error: BaseException | None) -> bool:
    """Whether an error says that there is no space, or none that this user may use."""
    return isinstance(error, OSError) and error.errno in _FULL


def tells_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says so in any way: libraries have their own.

    HDF5 reports a failed write as an ``OSError``, and a failed close as a
    ``RuntimeError`` with the number in its text.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if is_full(error):
            return True
        told = _ERRNO.search(str(error)) if isinstance(error, (OSError, RuntimeError)) else None
        if told is not None and int(told[1]) in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def free_bytes(folder: str | Path) -> int:
    """Return how much this user may still write where a folder is; -1 if that is not known."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return -1
    return found.f_bavail * found.f_frsize


# ── files ──────────────────────────────────────────────────────────────────


def open_private(path: str | Path, flags: int, *, within: int | None = None) -> int:
    """Open a file, which is made 0600 if it is to be made; a link in its place is an error.

    Args:
        path: The file, or its name in ``within``.
        flags: Those of ``os.open``.
        within: A descriptor of its folder.
    """
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=within)


def read_private(path: Path) -> bytes:
    """Return what is in a plain file.

    Raises:
        FileNotFoundError: There is none.
        OSError: It is a link, a pipe or something else, or cannot be read.
    """
    with open(_opened(path), "rb") as file:
        return file.read()


def write_private(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file whole or not at all, 0600 whatever the umask; its folder must be there.

    Args:
        path: Where.
        data: What.
        durable: Whether it survives a power cut once this returns.

    Raises:
        OSError: It could not be written; what was there before still is.
    """
    folder = os.open(path.parent, _FOLDER)
    try:
        _replace(folder, path.name, lambda partial: _write(partial, data), durable=durable)
    finally:
        os.close(folder)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have a function write a file under another name, then move it to its place.

    A kill in the middle leaves the older one whole. Neither the file nor its
    folder, which is made if need be, may be a link.

    Args:
        path: Where, in a folder of a project.
        write: Given a path in that folder at which there is an empty file, 0600.

    Raises:
        OSError: It could not be written; what was there before still is.
    """
    with folder_within(path.parent.parent, path.parent, make=True) as folder:
        _replace(folder, path.name, write, durable=False)


def sha256_of(path: Path) -> str:
    """Return the checksum of a plain file, in hexadecimal.

    Raises:
        OSError: It is missing, a link or something else, or cannot be read.
    """
    with open(_opened(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def folder_within(root: Path, folder: Path, *, make: bool = False) -> Iterator[int]:
    """Give a descriptor of a folder below another one; a link on the way down is an error.

    Args:
        root: Where to begin; made if need be, and may be reached through links.
        folder: Below ``root``, or ``root`` itself.
        make: Whether to make what is missing, 0700 whatever the umask.

    Raises:
        OSError: Something on the way is no folder, or cannot be opened or made.
    """
    if make:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(root, _FOLDER)
    try:
        for name in folder.relative_to(root).parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=fd)
            deeper = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = deeper
        yield fd
    finally:
        os.close(fd)


def sync_folder(path: str | Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, _FOLDER)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _replace(folder: int, name: str, write: Callable[[Path], object], *, durable: bool) -> None:
    partial = f"{PARTIAL}{secrets.token_hex(4)}.{name}"
    os.close(open_private(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, within=folder))
    try:
        # Libraries that write files want paths. This one leads to the folder that is open.
        write(Path(f"/proc/self/fd/{folder}") / partial)
        if durable:
            _sync(folder, partial)
        os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial, dir_fd=folder)
        raise
    if durable:
        os.fsync(folder)


def _opened(path: Path) -> int:
    """Open a plain file to be read."""
    # A pipe would be waited for, were it not for O_NONBLOCK.
    fd = open_private(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "It is no plain file", str(path))


def _sync(folder: int, name: str) -> None:
    fd = open_private(name, os.O_RDONLY, within=folder)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(path: Path, data: bytes) -> None:
    fd = open_private(path, os.O_WRONLY)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
