"""Errors that end a search: a ``FatalError`` rebuilt from a worker's text, and a trial that was forgotten."""

from __future__ import annotations

import sys

from aiotune.errors import FatalError, InternalError
from aiotune.failures import TrialFailure
from aiotune.oracles import Oracle
from aiotune.status import TrialStatus

__all__ = ("forgotten", "rebuild_fatal")


def rebuild_fatal(failure: TrialFailure, trial_id: str) -> FatalError:
    """Return the exception that a trial raised, as far as this process knows its class.

    The most derived class that is already imported here is used, with the
    message as its only argument; nothing is unpickled and nothing imported. A
    class whose constructor refuses that argument is made without it.

    Args:
        failure: A failure of kind FATAL.
        trial_id: Named in a note, with the log and the worker's traceback.
    """
    error = _instance(_most_derived(failure.mro), failure.message)
    where = f" Its output is in {failure.log_path}." if failure.log_path else ""
    error.add_note(f"Raised by trial {trial_id}, which ended the search.{where}")
    if failure.traceback:
        error.add_note(f"In the worker:\n{failure.traceback}")
    return error


def _most_derived(mro: tuple[str, ...]) -> type[FatalError]:
    for name in mro:
        module, _, attribute = name.rpartition(".")
        found = getattr(sys.modules.get(module), attribute, None)
        if isinstance(found, type) and issubclass(found, FatalError):
            return found
    return FatalError


def _instance(cls: type[FatalError], message: str) -> FatalError:
    try:
        return cls(message)
    except Exception:  # noqa: BLE001 - a user's constructor may ask for anything
        error = cls.__new__(cls)
        error.args = (message,)
        return error


def forgotten(oracle: Oracle) -> InternalError | None:
    """Return what is wrong with a search's coming to its own end now: a trial that is to run again.

    An oracle with a ``create_trial`` of its own may decide to end before every trial has run.
    """
    if type(oracle).create_trial is not Oracle.create_trial:
        return None
    left = [t.trial_id for t in oracle.trials.values() if t.status is TrialStatus.QUEUED]
    if not left:
        return None
    return InternalError(
        f"The search came to its end although trials wait to be run again: {', '.join(left[:10])}."
    )
