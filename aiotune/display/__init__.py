"""What people see in the terminal while a search runs."""

from __future__ import annotations

from typing import Protocol, TextIO

from aiotune.display._plain import PlainDisplay, SilentDisplay
from aiotune.display._snapshot import RunningTrial, Snapshot, clock
from aiotune.errors import ConfigurationError

__all__ = (
    "Display",
    "PlainDisplay",
    "RunningTrial",
    "SilentDisplay",
    "Snapshot",
    "clock",
    "make_display",
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


def make_display(verbose: int | str, stream: TextIO) -> Display:
    """Choose a display.

    Args:
        verbose: 0: silent; 1 or ``"auto"``: live on a terminal, else lines; 2: lines.
        stream: Where to show.

    Raises:
        ConfigurationError: ``verbose`` is something else.
    """
    match verbose:
        case 0 | False:
            return SilentDisplay()
        case 2:
            return PlainDisplay(stream)
        case 1 | "auto":
            if not stream.isatty():
                return PlainDisplay(stream)
            from aiotune.display._live import LiveDisplay  # rich is slow to import

            return LiveDisplay(stream)
        case _:
            raise ConfigurationError(f"verbose must be 0, 1, 2 or 'auto', but is {verbose!r}.")
