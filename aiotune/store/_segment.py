"""A segment of the journal: the file that records are appended to, and what its first line says."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Protocol

import msgspec

from aiotune._disk import open_private, sync_folder
from aiotune.errors import JournalCorrupt, StorageError
from aiotune.store._codec import VERSION

__all__ = (
    "Appendable",
    "SegmentBegan",
    "SegmentFile",
    "began",
    "begin",
    "check_previous",
    "segment_name",
)


class SegmentBegan(msgspec.Struct, frozen=True, tag_field="type", tag="segment_began"):
    """The first record of every segment but the first one: what must lie before it.

    A segment is whole and synced before the next one is begun. So whoever finds
    this record can tell that the file before it is the right one, and complete.

    Attributes:
        previous: Name of the file before this one.
        length: Its size in bytes.
        crc32: Checksum of all its bytes.
    """

    previous: str
    length: int
    crc32: int


_decoder = msgspec.json.Decoder(SegmentBegan)


def begin(said: SegmentBegan, *, seq: int, at: int, since: int) -> bytes:
    """Return the line that a segment begins with; the arguments are those of ``encode_line``."""
    head = b'{"v":%d,"seq":%d,"b":0,"t":%d,"m":%d,"ign":true,' % (VERSION, seq, at, since)
    text = head + msgspec.json.encode(said)[1:]
    return b"%08x %s\n" % (zlib.crc32(text), text)


def began(line: bytes) -> SegmentBegan | None:
    """Return what a good line says of the segment before, or ``None`` if it is another record.

    Journals of before there was such a line are read, too: their numbers have no gap either.
    """
    try:
        return _decoder.decode(line[9:-1])
    except msgspec.ValidationError:
        return None


def check_previous(said: SegmentBegan, path: Path, length: int, crc32: int) -> None:
    """See whether a segment follows the one that lies before it.

    Args:
        said: The first record of the later one.
        path: The earlier one.
        length: The size that it has.
        crc32: The checksum that it has.

    Raises:
        JournalCorrupt: It follows another one.
    """
    if (said.previous, said.length, said.crc32) == (path.name, length, crc32):
        return
    raise JournalCorrupt(
        f"The journal's segment {path} has {length} bytes with checksum {crc32:08x}, but the one after it "
        f"was begun after {said.previous} with {said.length} bytes and checksum {said.crc32:08x}. One of "
        "the two is damaged, or comes from another copy of the project. Nothing was changed.",
        hint="Restore both from one copy, or look closer with `aiotune doctor`.",
        path=str(path),
        offset=min(length, said.length),
    )


def segment_name(number: int) -> str:
    """Return the name of a segment's file, counted from 1."""
    return f"{number:06d}.jsonl"


class Appendable(Protocol):
    """What the journal's writer needs of a file; tests give it one that fails."""

    def append(self, data: bytes) -> None:
        """Write all of it at the end."""
        ...

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        ...

    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes."""
        ...

    def check(self, size: int) -> None:
        """See whether the file is still in its place and has this size."""
        ...

    def close(self) -> None:
        """Let go of it; further calls do nothing."""
        ...


class SegmentFile:
    """A segment on the disk, made if it is not there.

    Args:
        path: Where; no symbolic link is followed.

    Raises:
        OSError: It cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            # Even if it was there: a try that failed on a full disk may have made it.
            sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Write all of it at the end."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        os.fdatasync(self._fd)

    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes."""
        os.ftruncate(self._fd, size)

    def check(self, size: int) -> None:
        """Notice another writer, or that the directory is gone: locks alone cannot be trusted on NFS.

        Raises:
            StorageError: The file is not the one that was opened, or has another size.
        """
        ours = os.fstat(self._fd)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            named = None
        if named is None or ours.st_nlink == 0 or named.st_ino != ours.st_ino:
            raise StorageError(
                f"The journal {self._path} was removed or replaced while the search ran. The project "
                "directory must stay where it is; what was recorded before is in the removed file."
            )
        if ours.st_size != size:
            raise StorageError(
                f"Another process wrote to the journal {self._path}: it has {ours.st_size} bytes, and "
                f"this search left it at {size}. Only one search may use a project."
            )

    def close(self) -> None:
        """Let go of it; further calls do nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
