"""Ends all descendants of this process, those that try to get away included."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ("Reaper", "tree_cpu_seconds")

_PATIENCE = 0.05  # seconds; bounds a race, see Reaper.end_all


@dataclass(slots=True)
class Reaper:
    """Reaps the children of a subreaper and remembers how one of them ended.

    Args:
        worker: The child whose end matters.

    Attributes:
        status: The worker's raw wait status, once it is reaped.
        peak_host_bytes: The worker's largest resident set.
        cpu_seconds: CPU time of all that was reaped.
        killed: Descendants other than the worker that had to be killed.
    """

    worker: int
    status: int | None = None
    peak_host_bytes: int = 0
    cpu_seconds: float = 0.0
    killed: set[int] = field(default_factory=set)

    def end_all(self) -> None:
        """Kill and reap until nothing is left.

        As a subreaper inherits every orphan, "no children" means that nothing
        is left and nothing can come back. SIGCHLD must be blocked.
        """
        while self.reap():
            for pid in list(_descendants(os.getpid())):
                self._kill(pid)
            # A process forked after the look at /proc is orphaned by the death
            # of its parent, which wakes this wait; the limit is for one whose
            # parent had been reaped before.
            signal.sigtimedwait({signal.SIGCHLD}, _PATIENCE)

    def reap(self) -> bool:
        """Reap what has ended; return whether any child is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            if pid == self.worker:
                self.status = status
                self.peak_host_bytes = usage.ru_maxrss * 1024

    def _kill(self, pid: int) -> None:
        try:
            if _is_zombie(pid):
                return
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            return  # ended by itself, or is a set-uid program's to end
        if pid != self.worker:
            self.killed.add(pid)


def tree_cpu_seconds(root: int) -> float:
    """Return the CPU time that a process and its descendants have used so far.

    What has ended counts as far as its parent has reaped it.
    """
    ticks = 0
    for pid in (root, *_descendants(root)):
        try:
            ticks += sum(map(int, _stat_fields(pid)[_TIMES]))
        except OSError:
            continue  # it ended while it was looked at
    return ticks / os.sysconf("SC_CLK_TCK")


def _descendants(root: int) -> Iterator[int]:
    children = _listed_children if _KERNEL_LISTS_CHILDREN else _scanned_children()
    stack = [root]
    while stack:
        found = children(stack.pop())
        yield from found
        stack += found


def _listed_children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - called for each process
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
    except OSError:
        return found  # it ended while it was looked at
    return found


def _scanned_children() -> Callable[[int], list[int]]:
    """Look at every process once; for kernels built without lists of children."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = _stat_fields(int(entry.name))[1]
            except OSError:
                continue  # it ended while it was looked at
            children[int(parent)].append(int(entry.name))
    return lambda pid: children[pid]


def _is_zombie(pid: int) -> bool:
    return _stat_fields(pid)[0] == b"Z"


def _stat_fields(pid: int) -> list[bytes]:
    # State, parent and so on; the command's name in front of them may hold
    # anything, parentheses included.
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


_TIMES = slice(11, 15)  # user, system, and the same of reaped children
_KERNEL_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()
