"""A display that nobody waits for, and that cannot end a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from aiotune._writer import LAST_WAIT, Writer
from aiotune.display._descriptor import Descriptor
from aiotune.display._prints import Redirection
from aiotune.display._snapshot import Snapshot

if TYPE_CHECKING:
    from aiotune.display import Display

__all__ = ("ThreadedDisplay",)


class ThreadedDisplay:
    """Shows through another display, in a thread, until that one fails, and then nothing.

    A terminal is not read, hangs up, and a pipe breaks, while a search has days to go.

    Args:
        display: What shows.
        stream: Where it shows, closed in the end if it is a copy of ours.
        lost: Told of its failure, once, at the next call.
        redirects: Whether what the program prints meanwhile goes through the display.
    """

    def __init__(
        self,
        display: Display,
        stream: TextIO,
        lost: Callable[[Exception], None],
        *,
        redirects: bool = False,
    ) -> None:
        self.inner = display
        self._lost = lost
        self._writer: Writer[Snapshot | None] = Writer(_Shows(display, stream), _left_out)
        self._redirection = Redirection(self._writer) if redirects else None

    def start(self) -> None:
        """Take the terminal, with the first moment."""
        if self._redirection is not None:
            self._redirection.begin()

    def update(self, snapshot: Snapshot) -> None:
        """Show a moment, unless a newer one comes before there is time for it."""
        self._writer.show(snapshot)
        self._tell()

    def line(self, text: str) -> None:
        """Show a line that stays."""
        self._writer.put(text)
        self._tell()

    def stop(self) -> None:
        """Give the terminal back."""
        if self._redirection is not None:
            self._redirection.end()
        self._writer.show(None)
        self._tell()

    async def aclose(self, seconds: float = LAST_WAIT) -> None:
        """Wait for so long until everything is shown."""
        await self._writer.aclose(seconds)
        self._tell()

    def _tell(self) -> None:
        error = self._writer.take_error()
        if error is not None:
            self._lost(error)


class _Shows:
    """Shows lines and moments, in the writer's thread."""

    def __init__(self, display: Display, stream: TextIO) -> None:
        self._display, self._stream = display, stream
        self._started = False

    def write(self, lines: Sequence[str]) -> None:
        """Show lines."""
        if lines:
            self._display.line("\n".join(lines))

    def show(self, moment: Snapshot | None) -> None:
        """Show a moment; ``None``: none any more."""
        if moment is None:
            self._display.stop()
            self._started = False
            return
        if not self._started:
            self._started = True
            self._display.start()
        self._display.update(moment)

    def close(self) -> None:
        """Restore what can be restored, the cursor before all."""
        try:
            self._display.stop()
        finally:
            if isinstance(self._stream, Descriptor):
                self._stream.close()


def _left_out(count: int) -> str:
    what = "A line is" if count == 1 else f"{count} lines are"
    return f"({what} left out here, since this was not read; see events.log.)"
