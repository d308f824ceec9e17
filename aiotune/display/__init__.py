"""What people see in the terminal while a search runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol, TextIO

from aiotune._printable import shown
from aiotune.display._descriptor import writable
from aiotune.display._plain import PlainDisplay, SilentDisplay
from aiotune.display._prints import program_stream
from aiotune.display._snapshot import RunningTrial, Snapshot, clock, short_clock
from aiotune.display._threaded import ThreadedDisplay
from aiotune.errors import ConfigurationError

__all__ = (
    "Display",
    "PlainDisplay",
    "RunningTrial",
    "SilentDisplay",
    "Snapshot",
    "ThreadedDisplay",
    "clock",
    "make_display",
    "short_clock",
)


class Display(Protocol):
    """Shows a search to people."""

    def start(self) -> None:
        """Take the terminal."""
        ...

    def update(self, snapshot: Snapshot) -> None:
        """Show a moment; called a few times a second."""
        ...

    def line(self, text: str) -> None:
        """Show a line that stays."""
        ...

    def stop(self) -> None:
        """Give the terminal back; nothing is wrong with doing it twice."""
        ...


def make_display(
    verbose: int | str,
    stream: TextIO | None,
    *,
    lost: Callable[[Exception], None] = lambda _: None,
) -> SilentDisplay | ThreadedDisplay:
    """Choose a display; none of its methods raises an error, and none waits for who reads it.

    Args:
        verbose: 0: silent; 1 or ``"auto"``: live on a terminal, else lines; 2: lines.
        stream: Where to show; ``None``, as ``sys.stdout`` of a program without one: nowhere.
        lost: Told when the stream fails, once; nothing is shown after that.

    Raises:
        ConfigurationError: ``verbose`` is something else.
    """
    if not isinstance(verbose, (int, str)) or verbose not in (0, 1, 2, "auto"):
        raise ConfigurationError(f"verbose must be 0, 1, 2 or 'auto', but is {shown(verbose)}.")
    stream = program_stream(stream)
    if verbose == 0 or stream is None:
        return SilentDisplay()
    redraws = verbose != 2 and _can_redraw(stream)  # noqa: PLR2004 - the numbers are Keras's
    stream = writable(stream)
    if not redraws:
        return ThreadedDisplay(PlainDisplay(stream), stream, lost)
    from aiotune.display._live import LiveDisplay  # rich is slow to import

    return ThreadedDisplay(LiveDisplay(stream), stream, lost, redirects=True)


def _can_redraw(stream: TextIO) -> bool:
    # What replaces sys.stdout, such as a tee, may have little but write().
    is_terminal = getattr(stream, "isatty", lambda: False)
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    if encoding != "utf8" or os.environ.get("TERM") in {"dumb", "unknown"}:
        return False
    return not stream.closed and bool(is_terminal())
