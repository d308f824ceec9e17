"""Why attempts end: what counts, what may be tried again, what is shown."""

from __future__ import annotations

import msgspec
import pytest

from aiotune.failures import FailureKind, TrialFailure

# For each kind: does it use up a retry, and may the trial run again?
_EXPECTED = {
    FailureKind.ERROR: (True, True),
    FailureKind.NOT_FINITE: (True, True),
    FailureKind.OUT_OF_MEMORY: (True, True),
    FailureKind.EXITED: (True, True),
    FailureKind.CRASHED: (True, True),
    FailureKind.KILLED: (True, True),
    FailureKind.TIMED_OUT: (True, True),
    FailureKind.STALLED: (True, True),
    FailureKind.FAILED_TRIAL: (False, False),
    FailureKind.OVERSIZED: (False, False),
    FailureKind.FATAL: (False, False),
    FailureKind.CANCELLED: (False, True),
    FailureKind.DEVICE_LOST: (False, True),
    FailureKind.LOST: (False, True),
    FailureKind.SPAWN_FAILED: (False, True),
    FailureKind.TERMINATED: (False, True),
    FailureKind.FORK_REFUSED: (False, True),
}


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_is_classified(kind: FailureKind) -> None:
    """The trial's faults are counted, its last words are final, the host's faults cost nothing."""
    assert _EXPECTED[kind] == (kind.uses_up_a_retry, kind.may_be_retried)


def test_what_is_final_is_not_counted() -> None:
    """A kind that never runs again has no use for a retry."""
    assert [k for k in FailureKind if k.uses_up_a_retry and not k.may_be_retried] == []


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            TrialFailure(kind=FailureKind.ERROR, type="ValueError", message="bad units\nmore"),
            "ValueError: bad units",
        ),
        (
            TrialFailure(kind=FailureKind.ERROR, type="KeyError", message="\n\n  'x'\n"),
            "KeyError: 'x'",
        ),
        (TrialFailure(kind=FailureKind.ERROR, type="StopIteration"), "StopIteration"),
        (TrialFailure(kind=FailureKind.CRASHED, message="Ended by SIGSEGV."), "Ended by SIGSEGV."),
        (TrialFailure(kind=FailureKind.LOST), "lost"),
        (TrialFailure(kind=FailureKind.LOST, message=" \n "), "lost"),
    ],
)
def test_a_summary_is_one_line(failure: TrialFailure, expected: str) -> None:
    """The class and the first line of its text; without either, the kind."""
    assert expected == failure.summary()


def test_a_failure_travels_whole() -> None:
    """It crosses processes and the journal as plain data."""
    failure = TrialFailure(
        kind=FailureKind.CRASHED,
        type="E",
        message="m",
        traceback="t",
        mro=("a.E", "builtins.Exception"),
        exit_code=-11,
        signal="SIGSEGV",
        log_path="trials/0001/output.log",
    )

    data = msgspec.json.encode(failure)

    assert failure == msgspec.json.decode(data, type=TrialFailure)


def test_what_is_not_known_takes_no_room() -> None:
    """A record has only the fields that say something."""
    data = msgspec.json.encode(TrialFailure(kind=FailureKind.LOST))

    assert data == b'{"kind":"lost"}'
