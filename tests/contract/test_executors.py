"""Every executor keeps the contract: processes, the simulation, and the calling process."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import pytest

from aiotune.executors import (
    Executor,
    InlineExecutor,
    LocalExecutor,
    Script,
    SimulatedExecutor,
    WorkerExit,
    WorkerMessage,
)
from aiotune.failures import FailureKind, TrialFailure
from aiotune.testing._executors import (
    EXECUTOR_CHECKS,
    Behaving,
    Behaviour,
    Check,
    check_close_ends_what_runs,
    check_end_without_result_has_its_code,
    check_result_is_the_last_word,
    check_stop_ends_a_trial_that_hangs,
)
from aiotune.wire import (
    Done,
    Failed,
    Hello,
    Payload,
    Report,
    RunAttempt,
    RunProbe,
    RunWeighing,
)

_FOREVER = 1e6  # seconds


def _forked(behaviour: Behaviour) -> Executor:
    return LocalExecutor(Payload(Behaving(behaviour)), imports=("aiotune.testing._executors",))


def _fresh(behaviour: Behaviour) -> Executor:
    return LocalExecutor(Payload(Behaving(behaviour)), imports=(), start="spawn")


def _inline(behaviour: Behaviour) -> Executor:
    return InlineExecutor(Payload(Behaving(behaviour)))


def _simulated(behaviour: Behaviour) -> Executor:
    def act(order: RunAttempt | RunWeighing | RunProbe) -> Script:
        assert isinstance(order, RunAttempt)
        return _script(behaviour, float(order.index))

    return SimulatedExecutor(act)


def _script(behaviour: Behaviour, score: float) -> Script:
    done = Done(
        metrics={"score": score}, best_step=0, executions=[{"score": score}], values={}, entries=[]
    )
    match behaviour:
        case Behaviour.SUCCEEDS:
            return _saying(Hello(pid=1), done)
        case Behaviour.REPORTS:
            reports = [Report(step=step, metrics={"score": 0.5}) for step in (0, 1)]
            return _saying(Hello(pid=1), *reports, done)
        case Behaviour.RAISES:
            failure = TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="on purpose")
            failed = Failed(failure=failure, values={}, entries=[])
            return _saying(Hello(pid=1), failed, code=1)
        case Behaviour.EXITS:
            return _saying(Hello(pid=1), code=3)
        case Behaviour.HANGS:
            return _saying(Hello(pid=1), Report(step=0, metrics={"score": 0.0}), lasts=_FOREVER)
        case _:
            assert_never(behaviour)


def _saying(*messages: WorkerMessage, code: int = 0, lasts: float = 0.0) -> Script:
    return Script(
        says=[(0.0, message) for message in messages],
        ends_after=lasts,
        ending=WorkerExit(exit_code=code),
    )


@pytest.mark.parametrize("check", EXECUTOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", [_forked, _fresh, _simulated])
async def test_executor_keeps_the_contract(make: object, check: Check, tmp_path: Path) -> None:
    """The check raises nothing."""
    assert callable(make)

    await check(make, tmp_path)


_NEEDS_A_PROCESS = {
    check_end_without_result_has_its_code,  # an exit would be the tuner's own
    check_stop_ends_a_trial_that_hangs,  # its messages come together, when the trial has ended
    check_close_ends_what_runs,  # it holds nothing that could be ended
}


@pytest.mark.parametrize(
    "check",
    [check for check in EXECUTOR_CHECKS if check not in _NEEDS_A_PROCESS],
    ids=lambda check: check.__name__,
)
async def test_inline_executor_keeps_what_needs_no_process(check: Check, tmp_path: Path) -> None:
    """In the calling process the rest of the contract holds."""
    await check(_inline, tmp_path)


async def test_broken_executor_is_found_out(tmp_path: Path) -> None:
    """The checks tell an executor whose workers lose their last word."""

    def silent(behaviour: Behaviour) -> Executor:
        return SimulatedExecutor(lambda _: _saying(Hello(pid=1)))

    with pytest.raises(AssertionError, match="the last message must be Done"):
        await check_result_is_the_last_word(silent, tmp_path)
