"""What the fold over a journal keeps of memory."""

from __future__ import annotations

from typing import Any

import pytest

from aiotune import events
from aiotune.failures import FailureKind, MemoryCause, OutOfMemory, TrialFailure
from aiotune.memory import CalibrationKey, ModelSize, Rung, training_bytes
from aiotune.objective import Objective
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState


def replay(*facts: events.Event) -> ProjectState:
    return ProjectState.replay(facts, seed=1, objective=Objective("loss", "min"))


def created(**values: int) -> events.TrialCreated:
    return events.TrialCreated(trial_id="0", index=0, values=dict(values), stream=0)


def started(attempt: int = 1) -> events.AttemptStarted:
    return events.AttemptStarted(trial_id="0", attempt=attempt, attempt_id=f"0-{attempt}")


SIZE = ModelSize(
    backend="jax",
    parameters=1 << 28,
    trainable_parameters=1 << 28,
    weight_bytes=1 << 30,
    gradient_bytes=1 << 30,
    slot_bytes=2 << 30,
)
NO_ROOM = TrialFailure(kind=FailureKind.OUT_OF_MEMORY, memory=OutOfMemory(cause=MemoryCause.DEVICE))


def test_what_is_known_of_a_trials_memory_survives() -> None:
    """Its size, the rung that it is on, and how often it was given more or found others there."""
    foreign = OutOfMemory(cause=MemoryCause.FOREIGN)
    crowded = TrialFailure(kind=FailureKind.OUT_OF_MEMORY, memory=foreign)
    more: dict[str, Any] = {"next_attempt": 2, "failures": 0, "retries_left": 0, "trial_id": "0"}

    state = replay(
        created(),
        events.TrialWeighed(trial_id="0", size=SIZE, traced=5),
        started(),
        events.RetryScheduled(**more, failure=crowded, reservation=7),
        started(attempt=2),
        events.RetryScheduled(**more, failure=NO_ROOM, reservation=9, alone=True, batch_divisor=2),
    )

    trial = state.trials["0"]
    assert trial.weighed is not None
    assert (trial.weighed.size, trial.weighed.traced) == (SIZE, 5)
    assert trial.rung == Rung(9, alone=True)
    assert (trial.foreign, trial.memory_tries, trial.batch_divisor) == (1, 1, 2)
    assert trial.failures == 0


def test_calibration_is_folded_from_the_journal() -> None:
    """Peaks and the driver's share teach a resumed search what they taught the first one."""
    seen = events.MemoryObserved(
        space="s",
        backend="jax",
        device="Fake",
        dtype="float32",
        predicted=1 << 30,
        peak=2 << 30,
        context=400 << 20,
    )

    calibration = replay(*[seen] * 5).calibration

    key = CalibrationKey("s", "jax", "Fake", "float32")
    assert calibration.ratio(key) == pytest.approx(2.0 * 1.05)
    assert calibration.context("jax", "Fake") == 400 << 20


def test_a_rejected_trial_tells_the_searcher_where_memory_ends() -> None:
    """It is among what was tried, with its predicted bytes, and is counted apart."""
    state = replay(
        created(a=5),
        events.TrialWeighed(trial_id="0", size=SIZE),
        events.TrialEnded(trial_id="0", status=TrialStatus.REJECTED, values={"a": 5}),
    )

    (tried,) = state.tried
    assert (tried.status, tried.score) == (TrialStatus.REJECTED, None)
    assert tried.memory == training_bytes(SIZE)
    assert (state.rejected, state.consecutive_rejections, state.consecutive_failures) == (1, 1, 0)
