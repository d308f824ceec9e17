"""What leaves ``search()``: one exception, with the frames that its reader can do something about.

A user who reads a traceback looks for lines of the own program. Between these and the
message there would be a dozen of the tuner, its task groups and the event loop. In asyncio's
debug mode (``PYTHONASYNCIODEBUG=1``) nothing is left out.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from aiotune.errors import AiotuneError, FatalError, InternalError

__all__ = ("one_error", "shortened")

_MACHINERY = frozenset({"aiotune", "anyio", "asyncio", "concurrent", "contextlib", "threading"})


def one_error(error: BaseException) -> BaseException:
    """Return what an error is about; nobody outside ever meets an exception group of ours.

    Of a group that is a ``FatalError``, or what is no cancellation; the others become its notes.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = _leaves(error)
    first = next(
        (e for e in leaves if isinstance(e, FatalError)),
        next((e for e in leaves if not isinstance(e, asyncio.CancelledError)), leaves[0]),
    )
    for other in leaves:
        if other is not first:
            first.add_note(f"Also: {type(other).__name__}: {other}")
    return first


def shortened(error: BaseException) -> BaseException:
    """Return an error without the frames of ours that lead to it.

    From the first frame of the user's code on, as in a hook, all stay. If there is none, an
    error whose message is a sentence needs no frame; any other may be a bug of ours, and keeps all.
    """
    if asyncio.get_running_loop().get_debug():
        return error
    theirs = _from_first_foreign(error.__traceback__)
    if theirs is None and not _speaks_for_itself(error):
        return error
    return error.with_traceback(theirs)


def _speaks_for_itself(error: BaseException) -> bool:
    if isinstance(error, InternalError):
        return False
    return isinstance(error, (AiotuneError, FatalError, KeyboardInterrupt, asyncio.CancelledError))


def _from_first_foreign(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None:
        module = frames.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in _MACHINERY:
            return frames
        frames = frames.tb_next
    return None


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
