"""What a pruner decides about a training that reports; the training is told when that is recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from aiotune import events, logs
from aiotune.errors import StorageError
from aiotune.executors import Worker

if TYPE_CHECKING:
    from aiotune.oracles import Oracle
    from aiotune.scheduler._attempts import Running

__all__ = ("Verdicts",)


class Verdicts:
    """Ends trainings early that a pruner has no hope for.

    Args:
        oracle: Judges, and records.
        log: Takes an event for each verdict.
        heard: Whether a training can be told anything while it runs. If not, none is judged: it
            would be called stopped although it ran to its end.
    """

    def __init__(self, oracle: Oracle, log: Any, *, heard: bool = True) -> None:
        self._oracle, self._log, self._heard = oracle, log, heard

    def judge(self, running: Running, step: int, worker: Worker) -> None:
        """Judge a training that has just reported a step; returns without waiting for the disk."""
        trial = running.trial
        reason = self._oracle.judge(trial, step) if self._heard else None
        if reason is None:
            return
        verdict = events.TrialPruned(
            trial_id=trial.trial_id, attempt=running.attempt, step=step, reason=reason
        )
        commit = self._oracle.record(verdict)
        # Who waited here on a full disk would not hear that the training waits for it, too.
        running.verdicts.start_soon(self._tell, worker, verdict, commit)

    async def _tell(
        self, worker: Worker, verdict: events.TrialPruned, commit: Awaitable[None]
    ) -> None:
        with contextlib.suppress(StorageError):  # whoever records next raises it
            await commit
            self._log.info(
                logs.TRIAL_PRUNED,
                trial=verdict.trial_id,
                step=verdict.step,
                reason=verdict.reason,
            )
            await worker.finish_early(verdict.reason)
