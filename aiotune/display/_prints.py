"""What a program prints while a live table is shown: lines above it, which nobody waits for."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from aiotune._writer import Writer

if TYPE_CHECKING:
    from aiotune.display._snapshot import Snapshot

__all__ = ("Prints", "program_stream")

_NAMES = ("stdout", "stderr")


class Prints(io.TextIOBase):
    """Stands for ``sys.stdout`` or ``sys.stderr``: its lines are shown where the writer shows its own.

    Args:
        writer: Takes them.
        stream: What it stands for, and what it is again when the writer has ended.
    """

    def __init__(self, writer: Writer[Snapshot | None], stream: TextIO) -> None:
        self._writer, self.stream = writer, stream
        self._begun = ""
        self._pid = os.getpid()
        self.over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Show the lines that are whole."""
        # A process that the program has forked has no thread that would show them.
        if self.over or self._writer.ended or os.getpid() != self._pid:
            return self.stream.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        if lines:
            self._writer.put(*lines)
        return len(text)

    def flush(self) -> None:
        """Show what is no whole line yet, such as a question."""
        begun, self._begun = self._begun, ""
        if self.over or self._writer.ended or os.getpid() != self._pid:
            self.stream.flush()
        elif begun:
            self._writer.put(begun)

    def fileno(self) -> int:
        """Return the stream's descriptor."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream.isatty()


class Redirection:
    """Has ``sys.stdout`` and ``sys.stderr`` shown by a writer for a while."""

    def __init__(self, writer: Writer[Snapshot | None]) -> None:
        self._writer = writer
        self._put: dict[str, Prints] = {}

    def begin(self) -> None:
        """Take the places of those that are terminals."""
        for name in _NAMES:
            stream = getattr(sys, name)
            with contextlib.suppress(AttributeError, ValueError):  # a tee; it is closed
                if stream is not None and stream.isatty():
                    self._put[name] = Prints(self._writer, stream)
                    setattr(sys, name, self._put[name])

    def end(self) -> None:
        """Give the places back; who keeps a reference writes to the stream itself from now on."""
        for name, prints in self._put.items():
            prints.flush()
            prints.over = True
            if getattr(sys, name) is prints:
                setattr(sys, name, prints.stream)
        self._put.clear()


def program_stream(stream: TextIO | None) -> TextIO | None:
    """Return the program's own stream for one that another search has put in its place."""
    while isinstance(stream, Prints):
        stream = stream.stream
    return stream
