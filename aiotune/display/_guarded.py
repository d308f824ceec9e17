"""A display that cannot end a search."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiotune.display._plain import SilentDisplay
from aiotune.display._snapshot import Snapshot

if TYPE_CHECKING:
    from aiotune.display import Display

__all__ = ("GuardedDisplay",)


class GuardedDisplay:
    """Shows through another display until that one fails, and then nothing.

    A terminal hangs up and a pipe breaks while a search has days to go.

    Args:
        display: What shows.
        lost: Told of its failure, once.
    """

    def __init__(self, display: Display, lost: Callable[[Exception], None]) -> None:
        self._display = display
        self._lost = lost

    def start(self) -> None:
        """Take the terminal."""
        self._try(lambda display: display.start())

    def update(self, snapshot: Snapshot) -> None:
        """Show a moment."""
        self._try(lambda display: display.update(snapshot))

    def line(self, text: str) -> None:
        """Show a line that stays."""
        self._try(lambda display: display.line(text))

    def stop(self) -> None:
        """Give the terminal back."""
        self._try(lambda display: display.stop())

    def _try(self, act: Callable[[Display], None]) -> None:
        try:
            act(self._display)
        except Exception as error:  # noqa: BLE001 - whatever it is, the search is worth more
            failed, self._display = self._display, SilentDisplay()
            # What can still be restored is: the cursor, and the program's stdout.
            with contextlib.suppress(Exception):
                failed.stop()
            self._lost(error)
