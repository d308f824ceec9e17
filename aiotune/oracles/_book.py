"""Where an oracle's trials are recorded, who holds them, and who waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiotune import events, logs
from aiotune.oracles._pauses import tell_pauses
from aiotune.status import TrialStatus
from aiotune.store import FileStore, Store
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = ("Book",)


class Book:
    """The state of a project together with the store that it is a fold of.

    Args:
        state: What the store's history adds up to.
        store: Where facts go.

    Attributes:
        state: See the arguments.
        interrupted: Attempts that an earlier search began and did not end.
        held: The trial that each ``tuner_id`` has and has not ended.
    """

    def __init__(self, state: ProjectState, store: Store) -> None:
        self.state = state
        self.interrupted = tuple(a.attempt_id for a in state.open_attempts.values())
        self.held: dict[str, Trial] = {}
        self._holders: dict[str, str] = {}
        self._store = store
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    def record(self, *facts: events.Event) -> Awaitable[None]:
        """Let facts happen: fold them into the state and hand them to the store, in this order.

        A fact that contradicts the state raises before the journal has it.

        Returns:
            An awaitable of their durability, and of all before; it may be left alone.
        """
        for fact in facts:
            self.state.apply(fact)
        return self._store.append(*facts)

    @property
    def holds_project(self) -> bool:
        """Whether facts go to a project directory, which this process then holds."""
        return isinstance(self._store, FileStore) and not self._store.closed

    def announce(self, log: Any) -> None:
        """Tell what was found when the project was opened, if it was there before."""
        tell_pauses(self._store, log)
        cut = self._store.repaired if isinstance(self._store, FileStore) else 0
        if cut:
            log.warning(logs.JOURNAL_REPAIRED, bytes=cut)
        if self.state.trials:
            unfinished = len(self.state.unfinished)
            log.info(logs.PROJECT_RESUMED, trials=len(self.state.trials), unfinished=unfinished)

    # ── who has which trial ────────────────────────────────────────────────

    def hold(self, tuner_id: str, trial: Trial) -> None:
        """Note that somebody runs a trial."""
        self.held[tuner_id] = trial
        self._holders[trial.trial_id] = tuner_id

    def let_go(self, trial: Trial) -> None:
        """Note that nobody runs a trial any more."""
        tuner_id = self._holders.pop(trial.trial_id, None)
        if tuner_id is not None:
            del self.held[tuner_id]

    def next_queued(self) -> Trial | None:
        """Hand out the trial that has waited longest to be run again, if there is one."""
        if not self.state.queue:
            return None
        trial_id, _ = self.state.queue.popitem(last=False)
        trial = self.state.trials[trial_id]
        trial.status = TrialStatus.RUNNING
        return trial

    # ── who waits ──────────────────────────────────────────────────────────

    @property
    def turn(self) -> asyncio.Lock:
        """Held while a trial is proposed: proposals are made one at a time, in order."""
        self._belong_to_this_loop()
        return self._turn

    @property
    def changed(self) -> asyncio.Event:
        """Set, once and for all, at the next :meth:`wake`. Take it before you look at the state."""
        self._belong_to_this_loop()
        return self._changed

    def wake(self) -> None:
        """Tell those who wait that another proposal may be possible."""
        self.changed.set()
        self._changed = asyncio.Event()

    def _belong_to_this_loop(self) -> None:
        # asyncio's primitives belong to one loop; an oracle may see several,
        # one asyncio.run() after the other.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._turn, self._changed = asyncio.Lock(), asyncio.Event()
