"""The terminal and ``events.log`` of a simulated tuner, which may take nothing for a long time.

The product's own display, log and writer run, their threads on virtual time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiotune import _progress, _writer
from aiotune._progress import Progress
from aiotune._writer import LAST_WAIT
from aiotune.oracles import Oracle
from aiotune.status import TrialStatus
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._seams import Replacement
from aiotune.testing.simulator._threads import SimThread, Threads
from aiotune.testing.simulator._world import World
from aiotune.trial import Trial

__all__ = ("SimTerminal",)

_LINES = 2
"""``verbose``: a line for each trial, and no table."""
_MARGIN = 0.01
_SHOWN = {TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.REJECTED}
_LINE = re.compile(r"^Trial (\S+) (?:complete|stopped early|failed|was rejected)\b", re.MULTILINE)


class SimTerminal:
    """What one life of the tuner writes to for people.

    Args:
        world: Where it is.
        threads: Those of the life.
        excused: Whether the host has slept, or every shield was broken, so that no time can be told.
    """

    def __init__(self, world: World, threads: Threads, excused: Callable[[], bool]) -> None:
        self._world, self._threads, self._excused = world, threads, excused
        self._writers: list[SimThread] = []
        self._progress: Progress | None = None
        self._told: list[str] = []
        self._shown = ""
        self._gone_from = world.plan.silence(Fault.TERMINAL_GONE, world.life)[0]
        self._gone = False

    def seams(self) -> tuple[Replacement, ...]:
        """Return what stands for the product's threads, its file and its terminal."""

        def thread(*, target: Callable[[], object], **_: object) -> SimThread:
            self._writers.append(SimThread(self._threads, target))
            return self._writers[-1]

        stream = SimpleNamespace(write=self._write, flush=lambda: None, closed=False)
        quiet = SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)
        return (
            # One thread runs at a time, and gives its turn away in other places alone.
            (_writer, "threading", SimpleNamespace(Thread=thread, RLock=contextlib.nullcontext)),
            (_writer, "queue", self._threads.queue_module()),
            (_writer, "atexit", quiet),
            (_progress, "sys", SimpleNamespace(stdout=stream)),
            (_progress, "LogFile", lambda path: _SimLogFile(self, path)),
        )

    # ── what the search does ───────────────────────────────────────────────

    @asynccontextmanager
    async def shown(self, oracle: Oracle, path: Path) -> AsyncIterator[Callable[[Any], None]]:
        """Show a search; yield what begins to show what runs."""
        progress = self._progress = Progress(oracle, verbose=_LINES, clock=self._world)
        ended = 0.0
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(progress.aclose)
                await stack.enter_async_context(progress.logging(path))
                try:
                    yield lambda running: stack.enter_context(progress.showing(running))
                finally:
                    ended = self._world.monotonic()
        finally:
            self._judge(self._world.monotonic() - ended)

    def tick(self) -> None:
        """Draw, a few times a second."""
        if self._progress is not None:
            self._progress.tick()

    def ended(self, trial: Trial, seconds: float) -> None:
        """Tell that an attempt has ended."""
        if self._progress is not None:
            if trial.status in _SHOWN:
                self._told.append(trial.trial_id)
            self._progress.ended(trial, seconds)

    @property
    def left_behind(self) -> set[SimThread]:
        """Threads that may outlive the search: they wait for who reads."""
        plan, life = self._world.plan, self._world.life
        silences = [plan.silence(f, life) for f in (Fault.TERMINAL_UNREAD, Fault.LOG_HANGS)]
        waits = any(begin <= self._world.running.time() < end for begin, end in silences)
        return set(self._writers) if waits else set()

    def _judge(self, seconds: float) -> None:
        world = self._world
        if world.dead or self._excused():
            return
        if seconds > LAST_WAIT + _MARGIN:
            world.wrong("I37", f"the end waits {seconds:.1f} s for a terminal or a log")
        if self._gone or self._threads.alive.keys() & self.left_behind:
            return
        shown = _LINE.findall(self._shown)
        world.judged["lines of a terminal compared"] += len(shown)
        if shown != self._told:
            world.wrong(
                "I38", f"the terminal shows the ends of {shown}, and told were {self._told}"
            )

    # ── in the writers' threads ────────────────────────────────────────────

    def _write(self, text: str) -> int:
        self.wait(Fault.TERMINAL_UNREAD)
        if self._gone_from and self._world.running.time() >= self._gone_from:
            self._gone = True
            self._world.strike(Fault.TERMINAL_GONE, "user")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._shown += text
        return len(text)

    def wait(self, fault: Fault) -> None:
        """Wait until what is written to takes something."""
        if self._threads.running is None:
            self._world.wrong("I36", "the event loop itself writes to a terminal or a log")
            return
        begin, end = self._world.plan.silence(fault, self._world.life)
        now = self._world.running.time()
        if begin <= now < end:
            self._world.strike(fault, "user", f"for {end - now:.1f} s")
            self._threads.sleep(end - now)


class _SimLogFile:
    """Stands for ``LogFile``."""

    behind = False

    def __init__(self, terminal: SimTerminal, path: Path) -> None:
        self.path = path
        self._terminal = terminal

    def write(self, lines: Sequence[str]) -> None:
        if lines:
            self._terminal.wait(Fault.LOG_HANGS)

    def show(self, moment: None) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
