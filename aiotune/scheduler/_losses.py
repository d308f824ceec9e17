"""Workers that somebody else has ended: together with others, with the whole search, or alone.

A signal to a whole job reaches its processes in any order, and a worker may be gone before the
tuner hears that the search is called off. So the end of such a worker waits for a moment until it
is clear what it was a part of; nothing is recorded before.
"""

from __future__ import annotations

import signal
from collections import Counter, deque
from typing import TYPE_CHECKING

import anyio

from aiotune._asking import ENDS_WORKERS
from aiotune.scheduler._outcomes import signal_number

if TYPE_CHECKING:
    from aiotune.executors import WorkerExit
    from aiotune.scheduler._attempts import Running

__all__ = ("Losses", "lost_again", "was_asked_to_end")

_MOMENT = 1.0
"""Seconds within which the processes of a job hear of its end, with room for a busy machine."""
_MOST = 10
"""How often a trial is excused in a search since others were lost with it: if all do it, nobody else does."""
_TRIES = 3


def was_asked_to_end(ending: WorkerExit) -> bool:
    """Whether a process died of a signal by which people, terminals and batch systems end programs."""
    return signal_number(ending) in ENDS_WORKERS


async def lost_again(ending: WorkerExit, tries: int) -> bool:
    """Wait for a moment after a process that only answers a question; return whether to ask again.

    Who calls the search off meanwhile cancels the wait.
    """
    if tries >= _TRIES or not was_asked_to_end(ending):
        return False
    await anyio.sleep(_MOMENT)
    return True


class Losses:
    """The workers that a search has lately lost to signals of others."""

    def __init__(self) -> None:
        self._lately: deque[tuple[float, str]] = deque()
        self._excused = Counter[str]()

    async def settle(self, running: Running, ending: WorkerExit) -> tuple[str, ...]:
        """Wait until it is clear whether an attempt was lost alone.

        Also after SIGKILL: where a whole job is killed, nothing may be recorded of its last moment. But
        several that are killed are no sign of that: it is what a full memory comes to.

        Args:
            running: The attempt, whose process is gone. If it is stopped meanwhile, its end is a part
                of the search's.
            ending: How the process ended.

        Returns:
            The trials that were lost in the same moment; none if it was lost alone.
        """
        asked = was_asked_to_end(ending)
        if not asked and (signal_number(ending) != signal.SIGKILL or ending.oom_kills):
            return ()
        now, trial_id = anyio.current_time(), running.trial.trial_id
        if asked:
            while self._lately and self._lately[0][0] < now - _MOMENT:
                self._lately.popleft()
            self._lately.append((now, trial_id))
        before = tuple(other for _, other in self._lately)
        with anyio.move_on_after(_MOMENT):
            await running.stopped.wait()
        if not asked:
            return ()
        after = (other for at, other in self._lately if at >= now)
        others = tuple(dict.fromkeys(t for t in (*before, *after) if t != trial_id))
        if others:
            self._excused[trial_id] += 1
        return others if self._excused[trial_id] <= _MOST else ()
