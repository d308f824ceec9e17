"""A trial that reports in a tight loop starves nobody, and its result still arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from aiotune.executors import LocalExecutor
from aiotune.executors._pace import PER_SECOND, Pace
from aiotune.testing._processes import attempt_order, run_order
from aiotune.wire import Done, Report

Executing = Callable[..., AbstractAsyncContextManager[LocalExecutor]]
_SECONDS = 3.0


class _Floods:
    """Reports as fast as it can for a while."""

    def run_trial(self, trial: Any) -> float:
        from aiotune.worker._context import current_attempt

        context = current_attempt.get()
        assert context is not None
        over, step = time.monotonic() + _SECONDS, 0
        while time.monotonic() < over:
            context.report(step, {"score": float(step)})
            step += 1
        return float(step)


async def test_a_flood_of_reports_is_thinned_and_its_end_arrives(
    tmp_path: Path, executing: Executing
) -> None:
    """Newest reports win, in order; the result, and with it the trial, is not lost."""
    async with executing(_Floods()) as executor:
        began = time.monotonic()
        ran = await run_order(executor, attempt_order(tmp_path))
        took = time.monotonic() - began

    steps = [message.step for message in ran.messages if isinstance(message, Report)]
    assert isinstance(ran.last, Done)
    sent = ran.last.metrics["score"]
    assert steps == sorted(set(steps))
    # A burst, what the time allows, and what a socket holds.
    assert len(steps) <= 4 * PER_SECOND + took * PER_SECOND + 8000
    assert len(steps) < sent
    assert took < _SECONDS + 25


@pytest.mark.virtual_time
async def test_what_is_saved_up_may_be_said_at_once() -> None:
    """Four seconds' worth; then as much time has to pass as the rest is worth."""
    pace = Pace()
    first = pace.delay(4 * PER_SECOND)
    second = pace.delay(PER_SECOND // 2)

    assert (first, second) == (0.0, 0.5)
