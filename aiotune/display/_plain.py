"""Displays without a terminal: lines, or nothing."""

from __future__ import annotations

from typing import TextIO

from aiotune.display._snapshot import Snapshot

__all__ = ("PlainDisplay", "SilentDisplay")


class PlainDisplay:
    """Writes each line as it comes; for pipes, notebooks and CI logs.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self) -> None:
        """Do nothing: lines need no preparation."""

    def update(self, snapshot: Snapshot) -> None:
        """Do nothing: only what has ended is told, as a line."""

    def line(self, text: str) -> None:
        """Write a line, or several; what the stream's encoding lacks is escaped."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        self._stream.write(f"{shown}\n")
        self._stream.flush()

    def stop(self) -> None:
        """Do nothing."""


class SilentDisplay:
    """Shows nothing."""

    def start(self) -> None:
        """Do nothing."""

    def update(self, snapshot: Snapshot) -> None:
        """Do nothing."""

    def line(self, text: str) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    async def aclose(self, seconds: float = 0.0) -> None:
        """Do nothing: nothing waits to be shown."""
