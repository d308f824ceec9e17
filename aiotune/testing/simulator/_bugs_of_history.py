"""Bugs of those who read what is recorded: recovery's second look, and the curves of pruners."""

from __future__ import annotations

from itertools import chain
from typing import Any

from aiotune.oracles._pruning import Curves
from aiotune.store._history import History, Part
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


@bug("a project's history ends before its newest segment")
def _newest_segment_forgotten() -> tuple[Replacement, ...]:
    def most(self: Any) -> Any:
        return chain.from_iterable(part.events() for part in self._parts[:-1])

    return instead(History, "__iter__", lambda _: most)


@bug("a segment that is read again begins with its second record")
def _first_record_of_segments_skipped() -> tuple[Replacement, ...]:
    def make(events: Any) -> Any:
        def rest(self: Any) -> Any:
            found = events(self)
            if self.first:
                next(found, None)
            yield from found

        return rest

    return instead(Part, "events", make)


@bug("what a run that failed had reported counts among its trial's next reports")
def _curve_of_a_failed_run_kept() -> tuple[Replacement, ...]:
    def make(go_on: Any) -> Any:
        def keep(self: Any, read: Any) -> None:
            if read.history is not read.trial.history:
                read.history, read.length = read.trial.history, 0
            go_on(self, read)

        return keep

    return instead(Curves, "_go_on", make)


@bug("a trial that has ended is no evidence for a pruner any more")
def _curve_of_the_ended_lost() -> tuple[Replacement, ...]:
    def make(end: Any) -> Any:
        def lose(self: Any, read: Any) -> None:
            end(self, read)
            for step in list(read.values):
                self._take_back(read, step)

        return lose

    return instead(Curves, "_end", make)
