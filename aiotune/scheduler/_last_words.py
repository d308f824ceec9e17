"""What a worker has left on the disk when it is gone: its result, and what it printed last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiotune import logs
from aiotune._offload import Overdue
from aiotune.wire import Done, read_result

if TYPE_CHECKING:
    from aiotune._offload import Offloader

__all__ = ("printed_last", "written_result")

_RESULT = 60.0
_OUTPUT = 10.0


async def written_result(
    spool: Path, trial_id: str, attempt_id: str, offload: Offloader, log: Any
) -> Done | None:
    """Return the result that an attempt has written down, if there is one.

    A disk that does not show it within a minute has lost it: the trial runs again.
    """
    try:
        return await offload.run(
            "disk", read_result, spool, attempt_id, deadline=_RESULT, what=f"Reading {spool}"
        )
    except Overdue as error:
        log.warning(logs.RESULT_UNREADABLE, trial=trial_id, error_message=str(error))
        return None


async def printed_last(log_path: Path, offload: Offloader) -> str:
    """Return what a dead worker's output ends with."""
    try:
        return await offload.run("disk", _tail, log_path, deadline=_OUTPUT)
    except Overdue as error:
        return f"({error})"


def _tail(path: Path, lines: int = 15, limit: int = 16384) -> str:
    """Return what a dead worker's output ends with: the beginning of its last stack, if it left one."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit))
            text = file.read(limit).decode(errors="replace")
    except OSError:
        return ""
    fatal = text.rfind("Fatal Python error: ")
    if fatal >= 0:
        # The frames that say where it died come first; below them is how it got there.
        return "\n".join(text[fatal:].splitlines()[:lines])
    return "\n".join(text.splitlines()[-lines:])
