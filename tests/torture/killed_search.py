"""A search in a process of its own that can be killed at any moment, and what it then leaves.

The process is forked from one that has imported aiotune and done nothing else: so a
start costs milliseconds.
"""

from __future__ import annotations

import os
import select
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aiotune.errors import JournalCorrupt, ProjectLocked

__all__ = ("Killed", "Search", "count")

_LIMIT = 1.0
"""Seconds after which a process that is still there is left behind."""
_REFUSED = 3
"""Exit code of a search that could not open its project."""


class Killed:
    """What became of one search.

    Attributes:
        told: The lines that it wrote until it was gone.
        code: Its exit code; negative: the signal that it died of.
        seen: How many processes of its were there at its death.
        left: How many of them lived longer than a second.
        seconds: How long the last of the others lived.
    """

    def __init__(self, told: list[str], code: int) -> None:
        self.told, self.code = told, code
        self.seen = self.left = 0
        self.seconds = 0.0


class Search:
    """A forked process that runs a search.

    Args:
        run: The search; is given a file descriptor to tell what happens, a line each.
    """

    def __init__(self, run: Callable[[int], None]) -> None:
        self._mark = uuid.uuid4().hex
        self._reading, writing = os.pipe()
        self._told = b""
        self.pid = os.fork()
        if self.pid:
            os.close(writing)
            return
        code = 1
        try:
            os.environ["AIOTUNE_TORTURE"] = self._mark
            os.close(self._reading)
            run(writing)
            code = 0
        except (JournalCorrupt, ProjectLocked) as error:
            os.write(2, f"{error}\n".encode())
            code = _REFUSED
        except BaseException as error:  # noqa: BLE001 - the exit code counts it
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def listen(self, most: int, seconds: float) -> bool:
        """Return when it has told so many lines more, or time is up; ``False`` if it has ended."""
        most, deadline = most + self._told.count(b"\n"), time.monotonic() + seconds
        while self._told.count(b"\n") < most:
            wait = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._reading], [], [], wait)
            if not ready:
                break
            more = os.read(self._reading, 1 << 16)
            if not more:
                return False
            self._told += more
        return True

    def job(self) -> list[int]:
        """Return all its processes, as a batch system would find them: this one first."""
        return [self.pid, *(pid for pid in _marked(self._mark) if pid != self.pid)]

    def kill(self) -> Killed:
        """Kill it, unless it has ended, and look for what it leaves."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> Killed:
        """Wait for its end, and look for what it leaves."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        ended = time.monotonic()
        while more := os.read(self._reading, 1 << 16):
            self._told += more
        os.close(self._reading)
        found = Killed(self._told.decode().splitlines(), code)
        self._look_for_processes(found, ended)
        return found

    def _look_for_processes(self, found: Killed, ended: float) -> None:
        seen = set[int]()
        looked = time.monotonic()
        while left := _marked(self._mark):
            seen.update(left)
            if looked - ended > _LIMIT:
                found.left = len(left)
                for one in left:
                    os.kill(one, signal.SIGKILL)
                break
            # A look takes long where much else runs; who is gone was gone when it began.
            looked = time.monotonic()
        found.seen, found.seconds = len(seen), looked - ended


def count(figures: Counter[str], found: Killed) -> None:
    """Add what became of a search to the figures."""
    figures["ended_before_the_kill" if found.code == 0 else "kills"] += 1
    figures["refused_to_open"] += found.code == _REFUSED
    figures["raised"] += found.code not in {0, _REFUSED, -signal.SIGKILL}
    figures["processes_seen"] += found.seen
    figures["processes_left"] += found.left


def _marked(mark: str) -> list[int]:
    """Return the processes that were started by a search, and by what it started."""
    found, text = [], f"AIOTUNE_TORTURE={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile, or is another user's
    return found
