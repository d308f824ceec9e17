"""Bugs of those who end attempts early: pruners, and the limits of silence."""

from __future__ import annotations

from typing import Any

from aiotune.oracles import Oracle
from aiotune.scheduler import AttemptRunner
from aiotune.scheduler._activity import Activity
from aiotune.scheduler._patience import Patience
from aiotune.scheduler._verdicts import Verdicts
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement
from aiotune.wire import DiskPaused, Done, Failed, Hello, Report

__all__ = ()


@bug("nobody looks whether an attempt shows a sign of life")
def _silence_ignored() -> tuple[Replacement, ...]:
    async def look(*_: Any) -> None:
        return

    return instead(Patience, "_look", lambda _: look)


@bug("the stacks that were asked for count as a sign of life")
def _stacks_are_life() -> tuple[Replacement, ...]:
    def make(is_sure: Any) -> Any:
        def fooled(self: Any, sign: Any, running: Any, activity: Activity) -> Any:
            # They are in the log since the warning.
            grown = sign.warned and activity.output_bytes > 0
            return grown or is_sure(self, sign, running, activity)

        return fooled

    return instead(Patience, "_is_sure", make)


@bug("computing is no sign of life")
def _computing_is_silence() -> tuple[Replacement, ...]:
    def make(measure: Any) -> Any:
        async def blind(self: Any, running: Any, pid: int | None) -> Activity:
            return Activity(0.0, (await measure(self, running, pid)).output_bytes)

        return blind

    return instead(Patience, "_measure", make)


@bug("a training is asked to end early before it is recorded why")
def _pruned_before_recorded() -> tuple[Replacement, ...]:
    async def hasty(_: Any, worker: Any, verdict: Any, commit: Any) -> None:
        await worker.finish_early(verdict.reason)
        await commit

    return instead(Verdicts, "_tell", lambda _: hasty)


@bug("who waits for a verdict to be recorded does not listen to the training meanwhile")
def _deaf_while_judging() -> tuple[Replacement, ...]:
    async def hear(self: Any, running: Any, worker: Any) -> Any:
        last = None
        async for message in worker.messages():
            running.reports += 1
            if isinstance(message, Report):
                self._reported(running, message, worker)
                await self._oracle.record()
            elif isinstance(message, DiskPaused):
                self._paused(running, message)
            elif isinstance(message, Hello):
                running.pid = message.pid
            elif isinstance(message, (Done, Failed)):
                last = message
        return last

    return instead(AttemptRunner, "_hear", lambda _: hear)


@bug("a training is asked to end early each time that it reports")
def _judged_again() -> tuple[Replacement, ...]:
    def make(judge: Any) -> Any:
        def stern(self: Any, trial: Any, step: int) -> Any:
            before, trial.stop_reason = trial.stop_reason, None
            reason = judge(self, trial, step)
            trial.stop_reason = before
            return reason or before

        return stern

    home = next(cls for cls in Oracle.__mro__ if "judge" in vars(cls))
    return instead(home, "judge", make)
