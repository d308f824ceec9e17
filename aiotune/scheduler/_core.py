"""Which trial runs where and when: a state machine without IO, clock or ``await``.

::

            Propose ─► (oracle) ─► TrialProposed ─► ready ─► Launch ─► running
               ▲                        │ ProposalEnded                  │
               │                        ▼                                │
               └──── a slot is free,  dry: no more requests ◄────────────┤ AttemptConcluded
                     or will be       until something is requeued        ▼
                                                              slot free, maybe requeued

A stop empties the machine: requests are given up, running attempts are
stopped, ready trials stay where they are (unfinished, so a resumed search
runs them). ``Finish`` is emitted exactly once, when nothing is left.
"""

from __future__ import annotations

from collections import deque
from typing import assert_never

from aiotune.errors import InternalError
from aiotune.scheduler._commands import (
    AttemptConcluded,
    CancelProposals,
    Command,
    Finish,
    Launch,
    ProposalEnded,
    Propose,
    Stimulus,
    StopAttempt,
    StopRequested,
    TrialProposed,
)

__all__ = ("SchedulerCore",)


class SchedulerCore:
    """The scheduler's state; :meth:`handle` is its only way to change.

    Args:
        slots: How many attempts may run at once.
        ahead: How many trials to hold ready beyond the free slots, so that no
            slot waits for a proposal. 0 lets every proposal see all results.
    """

    def __init__(self, slots: int, *, ahead: int) -> None:
        if slots < 1 or ahead < 0:
            raise InternalError(
                f"A scheduler needs slots >= 1 and ahead >= 0, not {slots}, {ahead}."
            )
        self.slots = slots
        self.ahead = ahead
        self.free: list[int] = list(range(slots - 1, -1, -1))
        self.ready: deque[str] = deque()
        self.running: dict[str, int] = {}
        self.proposing = 0
        self.dry = False
        self.stopping: StopRequested | None = None
        self.finished = False
        self.story: deque[str] = deque(maxlen=200)

    def start(self) -> list[Command]:
        """Return the first commands."""
        return self._settle([])

    def handle(self, stimulus: Stimulus) -> list[Command]:
        """Take in what happened and return what to do, in order.

        Raises:
            InternalError: The stimulus cannot happen in this state; carries the story.
        """
        self.story.append(repr(stimulus))
        if self.finished:
            self._broken(f"{stimulus!r} after Finish")
        commands: list[Command] = []
        match stimulus:
            case TrialProposed(trial_id):
                self._proposal_returned()
                if trial_id in self.ready:
                    self._broken(f"trial {trial_id} was proposed while it is ready already")
                # It may still be running: a retry can be proposed between the
                # record of an attempt's end and the news of it. It then waits.
                self.ready.append(trial_id)
            case ProposalEnded():
                self._proposal_returned()
                self.dry = True
            case AttemptConcluded(trial_id, requeued):
                self._concluded(trial_id, requeued=requeued)
            case StopRequested():
                self._stop(stimulus, commands)
            case _:
                assert_never(stimulus)
        return self._settle(commands)

    def validate(self) -> None:
        """Check the invariants.

        Raises:
            InternalError: One is broken; carries the story.
        """
        used = set(self.running.values())
        if len(used) != len(self.running) or used & set(self.free):
            self._broken("a slot is held twice")
        if len(self.free) + len(used) != self.slots:
            self._broken("a slot was lost")
        if self.proposing < 0:
            self._broken("more proposals returned than were asked for")
        if len(set(self.ready)) != len(self.ready):
            self._broken("a trial is ready twice")
        if not self.stopping and self._launchable():
            self._broken("a trial is ready and a slot is free")
        if self.finished and (self.running or self.proposing):
            self._broken("finished with work under way")

    def _launchable(self) -> list[str]:
        """Return the ready trials that free slots could take now."""
        return [t for t in self.ready if t not in self.running][: len(self.free)]

    def _proposal_returned(self) -> None:
        if self.proposing == 0:
            self._broken("a proposal returned that nobody asked for")
        self.proposing -= 1

    def _concluded(self, trial_id: str, *, requeued: bool) -> None:
        slot = self.running.pop(trial_id, None)
        if slot is None:
            self._broken(f"trial {trial_id} concluded and was not running")
        else:
            self.free.append(slot)
        if requeued:
            self.dry = False

    def _stop(self, stimulus: StopRequested, commands: list[Command]) -> None:
        if self.stopping is None:
            self.stopping = stimulus
            if self.proposing:
                commands.append(CancelProposals())
        commands.extend(StopAttempt(trial_id, stimulus.grace) for trial_id in self.running)

    def _settle(self, commands: list[Command]) -> list[Command]:
        """Fill the slots, ask for what will be needed, notice the end."""
        if self.stopping is None:
            for trial_id in self._launchable():
                slot = self.free.pop()
                self.ready.remove(trial_id)
                self.running[trial_id] = slot
                commands.append(Launch(trial_id, slot))
            wanted = len(self.free) + self.ahead - len(self.ready) - self.proposing
            if not self.dry and wanted > 0:
                self.proposing += wanted
                commands.extend([Propose()] * wanted)
        idle = not self.running and not self.proposing
        if idle and (self.stopping or (self.dry and not self.ready)) and not self.finished:
            self.finished = True
            commands.append(Finish(self.stopping.reason if self.stopping else None))
        self.story.extend(f"  -> {command!r}" for command in commands)
        return commands

    def _broken(self, what: str) -> None:
        story = "\n".join(self.story)
        raise InternalError(f"The scheduler is in a state that cannot be: {what}. Story:\n{story}")
