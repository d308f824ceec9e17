"""Results that workers had written down when the tuner died."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiotune import events, logs
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles._core import interrupted
from aiotune.status import TrialStatus
from aiotune.store import Layout
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial
from aiotune.wire import Done, read_result

if TYPE_CHECKING:
    from aiotune.oracles._oracle import Oracle

__all__ = ("adopt_results",)

_FILE = 60.0


async def adopt_results(oracle: Oracle, state: ProjectState, layout: Layout) -> None:
    """End the trials whose last attempt left a result that the journal does not have."""
    for trial, attempt_id in interrupted(state):
        path = layout.result_file(trial.trial_id, trial.attempts)
        # One that cannot be read is no reason to train again: nothing begins then.
        done = await oracle.offload.run(
            "disk", read_result, path, attempt_id or "", deadline=_FILE, what=f"Reading {path}"
        )
        if done is not None:
            oracle.log.info(logs.RESULT_ADOPTED, trial=trial.trial_id, attempt=trial.attempts)
            await _adopt(oracle, trial, attempt_id, done)


async def _adopt(oracle: Oracle, trial: Trial, attempt_id: str | None, done: Done) -> None:
    if attempt_id is not None:
        oracle.record(
            events.AttemptEnded(
                trial_id=trial.trial_id,
                attempt=trial.attempts,
                attempt_id=attempt_id,
                outcome=TrialStatus.COMPLETED,
                peak_host_bytes=done.peak_host_bytes,
                at=time.time(),
            )
        )
    hp = trial.hyperparameters
    hp.add(HyperParameters.from_config({"space": done.entries, "values": {}}).space)
    hp.values = dict(done.values)
    trial.executions, trial.files = done.executions, done.files
    await oracle.report_result(trial, done.metrics, done.best_step)
    await oracle.end_trial(trial)
