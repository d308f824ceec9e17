"""Kills searches of every kind at random moments until they end, and compares them with their twins.

A twin is the same search in one piece. Half of the kills come at a random time, half at a
chosen call: before it, after it, or half way through a write.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import itertools
import json
import os
import random
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from killed_search import Killed, Search, count
from twin_searches import SEARCHES, Equal
from twin_stories import Story, different, proposals_that_do_not_follow

from aiotune.errors import JournalCorrupt
from aiotune.events import Event
from aiotune.executors import LocalExecutor
from aiotune.oracles import Oracle, _oracle
from aiotune.store import Layout, _file, _recovery, read_events
from aiotune.store import _journal as journal_module
from aiotune.store._segment import SegmentFile

__all__ = ("main",)

_MOMENTS: dict[str, tuple[Any, str, int]] = {
    "write": (SegmentFile, "append", 40),
    "sync": (SegmentFile, "sync", 40),
    "new segment": (journal_module.Journal, "_rotate", 3),
    "snapshot": (_recovery, "write_snapshot", 1),
    "opening": (_file, "recover", 1),
    "adoption": (_oracle, "adopt_results", 1),
    "proposal": (Oracle, "_decide", 12),
    "own state": (Oracle, "_keep_state", 12),
    "start of an attempt": (LocalExecutor, "launch", 12),
    "end of a trial": (Oracle, "end_trial", 12),
}
"""Calls at which a search kills itself: whose, which, and the last one of them that is chosen."""
_append = SegmentFile.append
_KILLS_A_PROJECT = 10
_MOST_LOST = 3
"""A trial that was lost so often is left in peace; after five times it would be given up."""


importlib.import_module("aiotune.searchers._surrogate")  # and what a proposal imports


def _search(directory: Path, name: str, kind: str, seed: int | None, tell: int) -> None:
    program = SEARCHES[kind].program(seed, directory=directory, project_name=name)
    program.tell = tell
    asyncio.run(program.search(verbose=0))


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("It was killed.")


def _armed(original: Callable[..., Any], number: int, how: str) -> Callable[..., Any]:
    """Return a function that kills its process at its so manieth call."""
    calls = itertools.count(1)

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == number
        if mine and how == "half way" and original is _append:
            original(args[0], args[1][: len(args[1]) // 2])
        if mine and how != "after":
            _die()
        result = original(*args, **kwargs)
        if mine and not inspect.isawaitable(result):
            _die()
        return _awaited(result) if mine else result

    return function


async def _awaited(result: Any) -> NoReturn:
    await result
    _die()


def _doomed(moment: str, number: int, how: str, run: Callable[[int], None], tell: int) -> None:
    """Run a search that dies at a moment."""
    owner, name, _ = _MOMENTS[moment]
    setattr(owner, name, _armed(getattr(owner, name), number, how))
    run(tell)


class _Killer:
    """Kills searches of one kind, project after project, and compares each with its twin."""

    def __init__(self, directory: Path, kind: str, kills: int) -> None:
        self.directory, self.kind, self.kills = directory, kind, kills
        self.trials = SEARCHES[kind].trials
        self.rng = random.Random(f"{kind}/{kills}")
        self.figures = Counter[str]()
        self.at = Counter[str]()
        self.slowest = 0.0

    def run(self) -> dict[str, Any]:
        """Kill as often as asked for; return the figures."""
        for number in itertools.count():
            self._project(f"p{number}", None if number % 2 else number)
            if self.figures["kills"] >= self.kills:
                break
        counts = ("refused_to_open", "raised", "unopenable", "lost", "recorded_twice", "different")
        zeros = dict.fromkeys((*counts, "processes_left"), 0)
        return {
            **zeros,
            **self.figures,
            "at": dict(sorted(self.at.items())),
            "slowest_end_s": round(self.slowest, 3),
        }

    def _project(self, name: str, seed: int | None) -> None:
        told: set[str] = set()
        killed = self.figures["kills"]
        left = min(_KILLS_A_PROJECT, self.kills - self.figures["kills"])
        ended = False
        while left and not ended:
            before = self.figures["kills"]
            ended = self._life(name, seed, told)
            left -= self.figures["kills"] - before
        if not ended:
            found = Search(self._searching(name, seed)).wait()
            self.figures["raised"] += found.code != 0
            self.figures["processes_left"] += found.left
            self._check(found, told, name)
        if self.figures["kills"] > killed:
            self._compare(name, Story(self._read(name)))

    def _searching(self, name: str, seed: int | None) -> Callable[[int], None]:
        return partial(_search, self.directory, name, self.kind, seed)

    def _life(self, name: str, seed: int | None, told: set[str]) -> bool:
        """Run a search until it is killed; return whether it ended before."""
        run, rng = self._searching(name, seed), self.rng
        lost = Story(self._read(name)).most_lost
        moment = rng.choice((*_MOMENTS, *["time"] * len(_MOMENTS), *["start"] * 4))
        if lost >= _MOST_LOST:
            moment = "time"
        if moment in _MOMENTS:
            how = rng.choice(("before", "after", "half way"))
            number = rng.randint(1, min(_MOMENTS[moment][2], self.trials))
            run = partial(_doomed, moment, number, how, run)
        search = Search(run)
        if moment == "start":
            runs = search.listen(1_000, rng.uniform(0.0, 0.4))
        else:
            most = rng.randint(1, self.trials // 3) + 3 * (lost >= _MOST_LOST)
            runs = search.listen(most, 30.0) and search.listen(1_000, rng.uniform(0.0, 0.03))
        found = search.kill()
        count(self.figures, found)
        self.slowest = max(self.slowest, found.seconds)
        if found.code:
            self.at["time" if runs and moment != "start" else moment] += 1
        self._check(found, told, name)
        return found.code == 0

    def _check(self, found: Killed, told: set[str], name: str) -> None:
        """See whether the journal has all that was told, and nothing twice."""
        told.update(found.told)
        story = Story(self._read(name))
        self.figures["lost"] += len(told - story.ends)
        self.figures["recorded_twice"] += story.recorded_twice

    def _read(self, name: str) -> Sequence[Event]:
        try:
            return read_events(Layout(self.directory, name))
        except JournalCorrupt as error:
            sys.stderr.write(f"{error}\n")
            self.figures["unopenable"] += 1
            return ()

    def _compare(self, name: str, killed: Story) -> None:
        self.figures["projects"] += 1
        self.figures["trials"] += len(killed.trials)
        self.figures |= {k: self.figures[k] + n for k, n in killed.fates.items()}
        if SEARCHES[self.kind].equal is Equal.GIVEN:
            wrong = proposals_that_do_not_follow(killed, self.kind)
        else:
            twin = f"{name}-twin"
            Search(self._searching(twin, killed.seed)).wait()
            wrong = different(killed, Story(self._read(twin)), SEARCHES[self.kind].equal)
        for line in wrong:
            sys.stderr.write(f"{self.kind}, {name}: {line[:2000]}\n")
        self.figures["different"] += len(wrong)
        if not wrong:
            for path in self.directory.iterdir():
                shutil.rmtree(path)


def main() -> None:
    """Kill so many searches of each kind that is named, and print the figures as one JSON object."""
    journal_module.SEGMENT_BYTES = 6_000  # so that kills meet the beginning of segments, too
    directory, kills, kinds = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    figures = {}
    for number, kind in enumerate(kinds):
        (own := directory / str(number)).mkdir()
        figures[kind] = _Killer(own, kind, kills).run()
        sys.stderr.write(f"{kind}: {json.dumps(figures[kind])}\n")
    sys.stdout.write(f"{json.dumps(figures)}\n")


if __name__ == "__main__":
    main()
