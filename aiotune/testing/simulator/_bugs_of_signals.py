"""Bugs of what happens when others end workers, or the tuner, and of requests that get lost."""

from __future__ import annotations

import dataclasses
import math
import signal
from typing import Any

from aiotune import _asking
from aiotune.oracles import _core
from aiotune.scheduler import AttemptRunner, SchedulerCore
from aiotune.scheduler._losses import Losses
from aiotune.status import TrialStatus
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


@bug("a trial whose worker was ended by others has failed")
def _ended_by_others_fails() -> tuple[Replacement, ...]:
    def fails(trial: Any, failure: Any, _: Any, at: float) -> Any:
        return _core._ended(trial, TrialStatus.FAILED, failure, at)  # noqa: SLF001 - as it does

    return instead(_core, "_lost", lambda _: fails)


@bug("a trial whose worker is ended by others, alone, runs again for ever")
def _ended_by_others_for_ever() -> tuple[Replacement, ...]:
    def make(lost: Any) -> Any:
        def again(trial: Any, failure: Any, policy: Any, at: float) -> Any:
            return lost(trial, failure, dataclasses.replace(policy, max_lost=math.inf), at)

        return again

    return instead(_core, "_lost", make)


@bug("nobody waits to see whether a worker was ended with the whole job")
def _ended_with_the_job_alone() -> tuple[Replacement, ...]:
    async def at_once(*_: Any) -> tuple[str, ...]:
        return ()

    return instead(Losses, "settle", lambda _: at_once)


@bug("a worker that was ended with others counts as lost")
def _ended_together_counts() -> tuple[Replacement, ...]:
    def make(settle: Any) -> Any:
        async def alone(self: Any, *args: Any) -> tuple[str, ...]:
            await settle(self, *args)
            return ()

        return alone

    return instead(Losses, "settle", make)


@bug("a terminal that is closed ends the tuner at once")
def _sighup_not_heard() -> tuple[Replacement, ...]:
    def make(numbers: Any) -> Any:
        return tuple(number for number in numbers if number is not signal.SIGHUP)

    return instead(_asking, "ENDS_SEARCHES", make)


@bug("an old answer that nothing is left ends the search although a trial was requeued since")
def _old_answers_count() -> tuple[Replacement, ...]:
    def deaf(self: Any) -> None:
        self.dry = False

    return instead(SchedulerCore, "_more_is_left", lambda _: deaf)


@bug("an attempt whose hook raises has no end")
def _hook_leaves_attempt_open() -> tuple[Replacement, ...]:
    def make(record_end: Any) -> Any:
        def unless_not_begun(
            self: Any, running: Any, status: Any, failure: Any, *rest: Any
        ) -> None:
            if failure is None or not failure.message.startswith("The attempt was not begun"):
                record_end(self, running, status, failure, *rest)

        return unless_not_begun

    return instead(AttemptRunner, "_record_end", make)
