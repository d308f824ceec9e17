"""Bugs of those who end attempts early: pruners, and the limits of silence."""

from __future__ import annotations

from typing import Any

from aiotune import events
from aiotune.oracles import Oracle
from aiotune.scheduler import AttemptRunner
from aiotune.scheduler._patience import Activity, Patience
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


@bug("nobody looks whether an attempt shows a sign of life")
def _silence_ignored() -> tuple[Replacement, ...]:
    async def look(*_: Any) -> None:
        return

    return instead(Patience, "_look", lambda _: look)


@bug("the stacks that were asked for count as a sign of life")
def _stacks_are_life() -> tuple[Replacement, ...]:
    def make(shows_life: Any) -> Any:
        def fooled(self: Any, sign: Any, running: Any, activity: Activity) -> Any:
            # They are in the log since the warning.
            grown = sign.warned and activity.output_bytes > 0
            return grown or shows_life(self, sign, running, activity)

        return fooled

    return instead(Patience, "_shows_life", make)


@bug("computing is no sign of life")
def _computing_is_silence() -> tuple[Replacement, ...]:
    def make(measure: Any) -> Any:
        async def blind(self: Any, running: Any, pid: int) -> Activity:
            return Activity(0.0, (await measure(self, running, pid)).output_bytes)

        return blind

    return instead(Patience, "_measure", make)


@bug("a training is asked to end early before it is recorded why")
def _pruned_before_recorded() -> tuple[Replacement, ...]:
    async def judge(self: Any, running: Any, step: int, worker: Any) -> None:
        trial = running.trial
        reason = self._oracle.judge(trial, step)
        if reason is None:
            return
        await worker.finish_early(reason)
        await self._oracle.record(
            events.TrialPruned(
                trial_id=trial.trial_id, attempt=running.attempt, step=step, reason=reason
            )
        )

    return instead(AttemptRunner, "_judge", lambda _: judge)


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
