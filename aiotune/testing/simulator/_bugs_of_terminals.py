"""Bugs of those who write to terminals and logs."""

from __future__ import annotations

import math
from typing import Any

from aiotune._writer import Writer
from aiotune.display import ThreadedDisplay
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


@bug("the event loop writes to the terminal itself")
def _loop_writes_itself() -> tuple[Replacement, ...]:
    return instead(ThreadedDisplay, "line", lambda _: lambda self, text: self.inner.line(text))


@bug("the end of a search waits until the terminal is read")
def _end_waits_for_the_terminal() -> tuple[Replacement, ...]:
    def make(aclose: Any) -> Any:
        return lambda self, _=0.0: aclose(self, math.inf)

    return instead(Writer, "aclose", make)


@bug("of the lines that wait for a terminal only the newest is kept, as of its moments")
def _only_the_newest_line() -> tuple[Replacement, ...]:
    def make(put: Any) -> Any:
        def forgetful(self: Any, *lines: str, wake: bool = True) -> None:
            self._lines.clear()
            put(self, *lines, wake=wake)

        return forgetful

    return instead(Writer, "put", make)


@bug("a terminal that is gone ends the search")
def _lost_terminal_ends_the_search() -> tuple[Replacement, ...]:
    def tell(self: Any) -> None:
        error = self._writer.take_error()
        if error is not None:
            raise error

    return instead(ThreadedDisplay, "_tell", lambda _: tell)
