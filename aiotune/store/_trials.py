"""The table of a project's trials, which hooks read in a thread of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiotune.trial import Trial

__all__ = ("Trials",)


class Trials(dict[str, Trial]):
    """A dict of which a look is at one moment.

    To iterate over a dict fails when it grows meanwhile, as this one does on the event loop.
    Making a list of a view is one step, in which no other thread runs.
    """

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().keys()))

    def keys(self) -> Any:
        """Return the ids, in order of creation."""
        return dict.fromkeys(self).keys()

    def values(self) -> Any:
        """Return the trials, in order of creation."""
        return list(super().values())

    def items(self) -> Any:
        """Return ids and trials, in order of creation."""
        return [(trial.trial_id, trial) for trial in self.values()]
