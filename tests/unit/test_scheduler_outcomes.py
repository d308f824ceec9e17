"""What the end of a worker means."""

from __future__ import annotations

import signal

import pytest

from aiotune.executors import WorkerExit
from aiotune.failures import FailureKind, TrialFailure
from aiotune.scheduler._commands import EndedBy
from aiotune.scheduler._outcomes import Outcome, classify, exit_in_words
from aiotune.wire import Done, Failed

DONE = Done(metrics={"loss": 1.0}, best_step=0, executions=[], values={}, entries=[])
FAILED = Failed(
    failure=TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="no"),
    values={},
    entries=[],
)


def outcome(
    last: Done | Failed | None = None,
    ending: WorkerExit | None = None,
    ended_by: EndedBy | None = None,
    tail: str = "",
) -> Outcome:
    return classify(
        last,
        ending or WorkerExit(exit_code=0),
        ended_by=ended_by,
        seconds=41.0,
        log_path="out.log",
        log_tail=tail,
    )


@pytest.mark.parametrize(
    "ending",
    [WorkerExit(exit_code=0), WorkerExit(exit_code=None, signal=9), WorkerExit(exit_code=3)],
    ids=str,
)
def test_a_result_counts_whatever_happens_afterwards(ending: WorkerExit) -> None:
    """A worker that dies after its result has still given one."""
    assert outcome(DONE, ending, EndedBy.SEARCH_STOPPED).done is DONE


def test_a_reported_failure_is_kept_and_learns_where_its_log_is() -> None:
    """The worker's own words win over the exit status."""
    failure = outcome(FAILED, WorkerExit(exit_code=1)).failure

    assert failure is not None
    assert (failure.kind, failure.type, failure.log_path) == (
        FailureKind.ERROR,
        "ValueError",
        "out.log",
    )


@pytest.mark.parametrize(
    ("ending", "kind", "name"),
    [
        (WorkerExit(exit_code=0), FailureKind.EXITED, None),
        (WorkerExit(exit_code=3), FailureKind.EXITED, None),
        (WorkerExit(exit_code=None, signal=signal.SIGSEGV), FailureKind.CRASHED, "SIGSEGV"),
        (WorkerExit(exit_code=None, signal=signal.SIGABRT), FailureKind.CRASHED, "SIGABRT"),
        (WorkerExit(exit_code=139), FailureKind.CRASHED, "SIGSEGV"),
        (WorkerExit(exit_code=None, signal=signal.SIGKILL), FailureKind.KILLED, "SIGKILL"),
        (
            WorkerExit(exit_code=None, signal=signal.SIGKILL, oom_kills=1),
            FailureKind.OUT_OF_MEMORY,
            "SIGKILL",
        ),
    ],
    ids=str,
)
def test_a_silent_end_is_told_by_its_exit_status(
    ending: WorkerExit, kind: FailureKind, name: str | None
) -> None:
    """Each way to end without a word has its kind and its signal's name."""
    failure = outcome(ending=ending, tail="last words").failure

    assert failure is not None
    assert (failure.kind, failure.signal) == (kind, name)
    assert "41.0 s" in failure.message
    assert "last words" in failure.message


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (EndedBy.SEARCH_STOPPED, FailureKind.CANCELLED),
        (EndedBy.TIME_LIMIT, FailureKind.TIMED_OUT),
        (EndedBy.STALLED, FailureKind.STALLED),
    ],
)
def test_a_stopped_attempt_is_told_by_who_stopped_it(reason: EndedBy, kind: FailureKind) -> None:
    """SIGTERM of our own is not the trial's crash."""
    failure = outcome(ending=WorkerExit(exit_code=None, signal=15), ended_by=reason).failure

    assert failure is not None
    assert failure.kind is kind


def test_an_unknown_signal_still_has_words() -> None:
    """A real-time signal without a name is called by its number."""
    assert exit_in_words(WorkerExit(exit_code=None, signal=63)) == "was killed by signal 63"
