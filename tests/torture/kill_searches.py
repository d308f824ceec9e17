"""Starts searches and kills them at random moments, then looks at what they left; prints figures.

Each search runs in a process of its own, forked from this one, which has
imported aiotune and done nothing else: so a start costs milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import signal
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import aiotune
import aiotune._search  # what a search imports is imported before the fork
from aiotune import events
from aiotune.errors import JournalCorrupt, ProjectLocked
from aiotune.store import Layout, read_events
from aiotune.store import _journal as journal_module

__all__ = ("main",)

_LIMIT = 1.0
"""Seconds after which a process that is still there is left behind."""
_TRIALS, _REFUSED = 60, 3
_EXECUTORS = ("local", "local", "local", "inline")
"""Of one project after the other; inline, records follow one another hundreds of times as fast."""


class Noop(aiotune.RandomSearch):
    """Trials that do nothing; each end is told to whoever reads the pipe."""

    tell = -1

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))

    def on_trial_end(self, trial: aiotune.Trial) -> None:
        os.write(self.tell, f"{trial.trial_id} {trial.score!r}\n".encode())


def _search(directory: Path, name: str, tell: int) -> None:
    tuner = Noop(
        max_trials=_TRIALS,
        seed=7,
        directory=directory,
        project_name=name,
        max_parallel_trials=2,
        executor="inline" if name.endswith("-inline") else "local",
    )
    tuner.tell = tell
    asyncio.run(tuner.search(verbose=0))


def _fork(directory: Path, name: str, mark: str) -> tuple[int, int]:
    """Start a search; return its pid and where it tells of trials."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        os.environ["AIOTUNE_TORTURE"] = mark
        os.close(reading)
        _search(directory, name, writing)
        code = 0
    except (JournalCorrupt, ProjectLocked) as error:
        os.write(2, f"{error}\n".encode())
        code = _REFUSED
    finally:
        os._exit(code)


def _told_until(reading: int, most: int, seconds: float) -> bytes:
    """Return what a search told until it had told of so many trials, ended, or time was up."""
    told, deadline = b"", time.monotonic() + seconds
    while told.count(b"\n") < most:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        more = os.read(reading, 1 << 16) if ready else b""
        if not more:
            return told
        told += more
    return told


def _rest(reading: int) -> bytes:
    told = b""
    while more := os.read(reading, 1 << 16):
        told += more
    return told


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


class _Killer:
    """Kills searches of one project after the other, and counts."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.rng = directory, random.Random(seed)
        self.figures = Counter[str]()
        self.slowest = 0.0
        self.known: dict[str, str] = {}
        self.number = 0

    def round(self) -> None:
        mark, name = uuid.uuid4().hex, f"p{self.number}-{_EXECUTORS[self.number % 4]}"
        pid, reading = _fork(self.directory, name, mark)
        if self.rng.random() < 0.3:
            told = _told_until(reading, 1_000, self.rng.uniform(0.0, 0.4))
        else:
            told = _told_until(reading, self.rng.randint(1, 25), 10.0)
            told += _told_until(reading, 1_000, self.rng.uniform(0.0, 0.02))
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        told += _rest(reading)
        os.close(reading)
        self._count_processes(mark, killed)
        self._check(name, told, code)

    def told(self) -> str:
        """Return the figures."""
        counts = ("refused_to_open", "raised", "unopenable", "lost", "recorded_twice")
        figures = dict.fromkeys((*counts, "processes_left"), 0) | self.figures
        return json.dumps({**figures, "slowest_end_s": round(self.slowest, 3)})

    def _count_processes(self, mark: str, killed: float) -> None:
        found = set[int]()
        looked = time.monotonic()
        while left := _marked(mark):
            found.update(left)
            if looked - killed > _LIMIT:
                self.figures["processes_left"] += len(left)
                for one in left:
                    os.kill(one, signal.SIGKILL)
                break
            # A look takes long where much else runs; who is gone was gone when it began.
            looked = time.monotonic()
        self.figures["processes_seen"] += len(found)
        self.slowest = max(self.slowest, looked - killed)

    def _check(self, name: str, told: bytes, code: int) -> None:
        self.figures["ended_before_the_kill" if code == 0 else "kills"] += 1
        self.figures["refused_to_open"] += code == _REFUSED
        self.figures["raised"] += code not in {0, _REFUSED, -signal.SIGKILL}
        self.known |= dict(line.split(" ", 1) for line in told.decode().splitlines())
        try:
            history = read_events(Layout(self.directory, name))
        except JournalCorrupt as error:
            sys.stderr.write(f"{error}\n")
            self.figures["unopenable"] += 1
            history = []
        ended = [e for e in history if isinstance(e, events.TrialEnded)]
        recorded = {e.trial_id: repr(e.score) for e in ended}
        over = Counter(
            (e.trial_id, e.attempt) for e in history if isinstance(e, events.AttemptEnded)
        )
        self.figures["lost"] += sum(recorded.get(t) != score for t, score in self.known.items())
        self.figures["recorded_twice"] += len(ended) - len(recorded)
        self.figures["recorded_twice"] += sum(count - 1 for count in over.values())
        if code == 0 or len(recorded) == _TRIALS:
            self.figures["projects"] += 1
            self.figures["finished_trials"] += len(recorded)
            self.known, self.number = {}, self.number + 1


def main() -> None:
    """Kill so many times, and print the figures as one JSON object; on the way, to stderr."""
    journal_module.SEGMENT_BYTES = 20_000  # so that kills meet the beginning of segments, too
    kills = int(sys.argv[2])
    killer = _Killer(Path(sys.argv[1]), seed=kills)
    while killer.figures["kills"] < kills:
        killer.round()
        if killer.figures["kills"] % 50 == 0:
            sys.stderr.write(f"{killer.told()}\n")
    sys.stdout.write(f"{killer.told()}\n")


if __name__ == "__main__":
    main()
