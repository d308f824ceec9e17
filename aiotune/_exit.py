"""How a program is ended out of a place that cannot end it itself."""

from __future__ import annotations

__all__ = ("ProgramExit",)


class ProgramExit(Exception):
    """A hook or a trial in the program's own process has called ``sys.exit()``, or raised KeyboardInterrupt.

    From a task of the event loop these would end the loop itself, with all that still has to be
    ended in order. The search raises them when that is done.

    Attributes:
        error: What it raised.
    """

    def __init__(self, who: str, error: BaseException) -> None:
        super().__init__(f"A {who} ended the program with {error!r}.")
        self.error = error
