"""A full disk is not a training's fault: what a trial has to write waits until there is space.

The training stands still meanwhile, and the tuner is told again and again, so that it
gives the trial its time back and does not take the silence for a hang.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from aiotune._disk import free_bytes, is_full, tells_full
from aiotune.wire import DiskPaused
from aiotune.worker._context import current_attempt

__all__ = ("complain", "tolerate_full_disk", "wait_for_room")

PATIENCE = 3600.0
"""Seconds that a file waits; the journal on the same disk has given up by then."""
_FIRST, _LONGEST = 0.05, 1.0
"""Seconds between two tries; each is a sign of life, so the longest is short."""


def wait_for_room(path: Path, write: Callable[[], object]) -> bool:
    """Write a file of the running attempt, again and again while the disk is full.

    Args:
        path: The file, for messages.
        write: Writes it; must be able to run again after it has failed at any point.

    Returns:
        Whether it was written; not if the disk stayed full for an hour.

    Raises:
        OSError: It failed for another reason; or outside an attempt, where nobody would
            be told why the program stands still.
    """
    began = told = 0.0
    delay = _FIRST
    while True:
        try:
            write()
        except (OSError, RuntimeError) as error:
            if not tells_full(error) or current_attempt.get() is None:
                raise
        else:
            if began:
                _tell(path, told, over=True)
            return True
        now = time.monotonic()
        if not began:
            began = told = now
            complain(f"the disk is full, so {path} waits for space")
        elif now - began >= PATIENCE:
            _tell(path, told, over=True)
            complain(f"the disk stayed full for {now - began:.0f} s, so {path} was not written")
            return False
        _tell(path, told, over=False)
        told = now
        threading.Event().wait(delay)
        delay = min(2 * delay, _LONGEST)


def _tell(path: Path, since: float, *, over: bool) -> None:
    context = current_attempt.get()
    if context is not None:
        waited = time.monotonic() - since
        free = free_bytes(path.parent)
        context.say(DiskPaused(path=str(path), free=free, waited=waited, over=over))


def complain(text: str) -> None:
    """Write a sentence into the attempt's output, if it can take one."""
    # The user's code may have closed or replaced the stream, by anything.
    with contextlib.suppress(Exception):
        sys.stderr.write(f"aiotune: {text}\n")


class _Output(io.FileIO):
    """A descriptor whose writer never hears that the disk is full; what does not fit is lost.

    Without it the first ``print`` on a full disk raises in the midst of a training.
    """

    def write(self, data: object) -> int:
        """Write what fits; pretend the rest was."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        try:
            return super().write(view) or 0
        except OSError as error:
            if not is_full(error):
                raise
            return len(view)


def tolerate_full_disk() -> None:
    """Let what this process and its forks print get lost on a full disk, instead of raising."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        old.flush()
        raw = io.BufferedWriter(_Output(fd, "wb", closefd=False))
        # Output is read while the attempt runs, and must survive a SIGKILL: a line at a time.
        stream = io.TextIOWrapper(raw, old.encoding, old.errors, line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
