"""What people see in the terminal while a search runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol, TextIO

from aiotune._printable import shown
from aiotune.display._guarded import GuardedDisplay
from aiotune.display._plain import PlainDisplay, SilentDisplay
from aiotune.display._snapshot import RunningTrial, Snapshot, clock, short_clock
from aiotune.errors import ConfigurationError

__all__ = (
    "Display",
    "GuardedDisplay",
    "PlainDisplay",
    "RunningTrial",
    "SilentDisplay",
    "Snapshot",
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
        """Give the terminal back."""
        ...


def make_display(
    verbose: int | str,
    stream: TextIO | None,
    *,
    lost: Callable[[Exception], None] = lambda _: None,
) -> Display:
    """Choose a display; none of its methods raises an error.

    Args:
        verbose: 0: silent; 1 or ``"auto"``: live on a terminal, else lines; 2: lines.
        stream: Where to show; ``None``, as ``sys.stdout`` of a program without one: nowhere.
        lost: Told when the stream fails, once; nothing is shown after that.

    Raises:
        ConfigurationError: ``verbose`` is something else.
    """
    if not isinstance(verbose, (int, str)) or verbose not in (0, 1, 2, "auto"):
        raise ConfigurationError(f"verbose must be 0, 1, 2 or 'auto', but is {shown(verbose)}.")
    if verbose == 0 or stream is None:
        return SilentDisplay()
    if verbose == 2 or not _can_redraw(stream):  # noqa: PLR2004 - the numbers are Keras's
        return GuardedDisplay(PlainDisplay(stream), lost)
    from aiotune.display._live import LiveDisplay  # rich is slow to import

    return GuardedDisplay(LiveDisplay(stream), lost)


def _can_redraw(stream: TextIO) -> bool:
    # What replaces sys.stdout, such as a tee, may have little but write().
    is_terminal = getattr(stream, "isatty", lambda: False)
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    if encoding != "utf8" or os.environ.get("TERM") in {"dumb", "unknown"}:
        return False
    return not stream.closed and bool(is_terminal())
