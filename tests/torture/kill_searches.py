"""Starts searches and kills them at random moments, then looks at what they left; prints figures."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from killed_search import Search, count

import aiotune
import aiotune._search  # what a search imports is imported before the fork
from aiotune import events
from aiotune.errors import JournalCorrupt
from aiotune.store import Layout, read_events
from aiotune.store import _journal as journal_module

__all__ = ("main",)

_TRIALS = 60
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


class _Killer:
    """Kills searches of one project after the other, and counts."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.rng = directory, random.Random(seed)
        self.figures = Counter[str]()
        self.slowest = 0.0
        self.known: dict[str, str] = {}
        self.number = 0

    def round(self) -> None:
        name = f"p{self.number}-{_EXECUTORS[self.number % 4]}"
        search = Search(partial(_search, self.directory, name))
        if self.rng.random() < 0.3:
            search.listen(1_000, self.rng.uniform(0.0, 0.4))
        else:
            search.listen(self.rng.randint(1, 25), 10.0)
            search.listen(1_000, self.rng.uniform(0.0, 0.02))
        found = search.kill()
        count(self.figures, found)
        self.slowest = max(self.slowest, found.seconds)
        self._check(name, found.told, found.code)

    def told(self) -> str:
        """Return the figures."""
        counts = ("refused_to_open", "raised", "unopenable", "lost", "recorded_twice")
        figures = dict.fromkeys((*counts, "processes_left"), 0) | self.figures
        return json.dumps({**figures, "slowest_end_s": round(self.slowest, 3)})

    def _check(self, name: str, told: list[str], code: int) -> None:
        self.known |= dict(line.split(" ", 1) for line in told)
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
