"""A stream's own descriptor, written to without the stream's lock.

A thread that waits in ``sys.stdout.write()`` holds the stream's lock. The interpreter flushes the
stream at its end and waits for the lock, daemon or not, and a ``print()`` of the program waits for
it deaf to Ctrl-C. A thread in ``os.write()`` holds nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import stat
import sys
import termios
from typing import TextIO, cast

__all__ = ("Descriptor", "writable")


def writable(stream: TextIO) -> TextIO:
    """Return what to write to in a thread: the descriptor of a plain file, pipe or terminal, else the stream.

    What replaces ``sys.stdout`` (a notebook's stream, a test's, a tee) may show its text elsewhere
    than at its descriptor.
    """
    if type(stream) is not io.TextIOWrapper or stream.closed:
        return stream
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if not isinstance(raw, io.FileIO):
        return stream
    try:
        return cast("TextIO", Descriptor(stream))
    except OSError:  # it is open for Python alone
        return stream


class Descriptor(io.TextIOBase):
    """Writes text to a copy of a stream's descriptor.

    Args:
        stream: Whose. What the program has printed to it goes first, as far as that takes no time.

    Raises:
        OSError: The descriptor is not open.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self._fd = os.dup(stream.fileno())
        self._mode = os.fstat(self._fd).st_mode

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def fileno(self) -> int:
        """Return the copy."""
        return self._fd

    def write(self, text: str) -> int:
        """Write all of a text.

        Raises:
            ValueError: The program has closed the stream.
            OSError: It takes no more.
        """
        if self._stream.closed:
            raise ValueError("The stream was closed.")
        if self._takes_no_time():
            with contextlib.suppress(OSError, ValueError):  # it is the program's to hear of
                self._stream.flush()
        data = memoryview(text.encode(self.encoding, "backslashreplace"))
        while data:
            data = data[self._write(data) :]
        return len(text)

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:  # others that share the terminal have made it so
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll()
            return 0

    def _takes_no_time(self) -> bool:
        """Whether the program's text would be written at once: its lock is held meanwhile."""
        if stat.S_ISREG(self._mode):
            return True
        # A terminal's stream has written each line, and of a socket nothing is known.
        return stat.S_ISFIFO(self._mode) and self._has_room()

    def _has_room(self) -> bool:
        # Half of it, which is more than a stream keeps: its pages may hold less than they could.
        waiting = int.from_bytes(fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        return 2 * waiting <= fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)

    def close(self) -> None:
        """Let go of the copy."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        super().close()
