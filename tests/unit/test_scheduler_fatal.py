"""A FatalError that crossed a process as text is an exception again."""

from __future__ import annotations

import pytest

from aiotune.errors import FatalError, FatalValueError
from aiotune.failures import FailureKind, TrialFailure
from aiotune.scheduler._fatal import rebuild_fatal


class StubbornError(FatalError):
    """A user's class whose constructor asks for two arguments."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(left + right)


def failure(*mro: str) -> TrialFailure:
    return TrialFailure(
        kind=FailureKind.FATAL, message="stop", mro=mro, traceback="File x", log_path="out.log"
    )


@pytest.mark.parametrize(
    ("mro", "cls"),
    [
        (("aiotune.errors.FatalValueError", "aiotune.errors.FatalError"), FatalValueError),
        (("gone.module.MyError", "aiotune.errors.FatalError"), FatalError),
        ((f"{__name__}.StubbornError", "aiotune.errors.FatalError"), StubbornError),
        (("builtins.ValueError",), FatalError),
    ],
    ids=str,
)
def test_the_most_derived_known_class_is_raised(mro: tuple[str, ...], cls: type) -> None:
    """The class is the user's where this process knows it, else the nearest of ours."""
    import sys

    sys.modules.setdefault(__name__, sys.modules[StubbornError.__module__])

    error = rebuild_fatal(failure(*mro), "0007")

    assert type(error) is cls
    assert str(error) == "stop"


def test_notes_say_which_trial_and_where() -> None:
    """The exception carries the trial, the log and the worker's traceback."""
    notes = "\n".join(rebuild_fatal(failure(), "0007").__notes__)

    assert "trial 0007" in notes
    assert "out.log" in notes
    assert "File x" in notes
