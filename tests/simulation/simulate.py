"""Simulates searches in trouble, seed after seed; what fails is told, and can be replayed.

::

    python tests/simulation/simulate.py --trials 100000      # until so many trials were simulated
    python tests/simulation/simulate.py --seed 76            # one seed: its whole story
    python tests/simulation/simulate.py --seed 76 --bug lease_kept
    python tests/simulation/simulate.py --bugs               # is every planted bug found?

Prints a line now and then, and one JSON object at the end. Exit code 1 if
anything was wrong, or if a planted bug was not found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from aiotune.testing.simulator import BUGS, Fault, Story, planted, simulate

_BLOCK = 50
_MOST_SEEDS = 1_000
_TWICE = 100
"""One seed in so many is run twice, in two processes, and must tell the same story."""


@dataclass(slots=True)
class Figures:
    """What a number of seeds adds up to."""

    seeds: int = 0
    trials: int = 0
    attempts: int = 0
    lives: int = 0
    records: int = 0
    compared: int = 0
    repeated: int = 0
    cpu_seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[str]] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, story: Story) -> None:
        """Count a story."""
        self.seeds += 1
        self.trials += story.trials
        self.attempts += story.attempts
        self.lives += story.lives
        self.records += story.records
        self.compared += story.compared
        self.faults.update({fault.name: count for fault, count in story.faults.items()})
        self.statuses.update(story.statuses)
        self.judged.update(story.judged)
        if story.violations:
            self.violations[story.seed] = [str(violation) for violation in story.violations]
        if story.seed % _TWICE == 0:
            self.digests[story.seed] = story.digest

    def merge(self, other: Figures) -> None:
        """Add what another process has counted."""
        for name in ("seeds", "trials", "attempts", "lives", "records", "compared", "cpu_seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults.update(other.faults)
        self.statuses.update(other.statuses)
        self.judged.update(other.judged)
        self.violations.update(other.violations)
        self.digests.update(other.digests)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for the end of a run."""
        return {
            "seeds": self.seeds,
            "trials": self.trials,
            "attempts": self.attempts,
            "lives_of_the_tuner": self.lives,
            "records": self.records,
            "compared_with_uninterrupted_twin": self.compared,
            "seeds_run_twice_with_equal_stories": self.repeated,
            "cpu_seconds": round(self.cpu_seconds, 1),
            "trials_per_cpu_second": round(self.trials / max(self.cpu_seconds, 1e-9)),
            "fault_types": len(self.faults),
            "faults": sum(self.faults.values()),
            "faults_by_type": {f.name: self.faults[f.name] for f in Fault},
            "statuses": dict(self.statuses),
            "judged": dict(self.judged),
            "seeds_with_violations": sorted(self.violations),
            "violations": {
                seed: self.violations[seed][:3] for seed in sorted(self.violations)[:20]
            },
        }


def run_block(first: int) -> Figures:
    """Simulate some seeds in a row."""
    figures, began = Figures(), time.process_time()
    for seed in range(first, first + _BLOCK):
        figures.add(simulate(seed))
    figures.cpu_seconds = time.process_time() - began
    return figures


def digest_of(seed: int) -> tuple[int, str]:
    """Return what a seed's story comes to, in whichever process this is."""
    return seed, simulate(seed).digest


def simulate_many(trials: int, *, first: int, processes: int, seconds: float = math.inf) -> Figures:
    """Simulate seeds until so many trials were run, and one in a hundred of them twice.

    Args:
        trials: How many.
        first: The first seed.
        processes: How many at once.
        seconds: After which no more are begun, however many there were.
    """
    figures, began = Figures(), time.monotonic()
    context = multiprocessing.get_context("spawn")  # each with other addresses and other hashes
    with context.Pool(processes) as pool:
        while figures.trials < trials and time.monotonic() - began < seconds:
            past = first + processes * _BLOCK
            for done in pool.imap_unordered(run_block, range(first, past, _BLOCK)):
                figures.merge(done)
            first = past
            _tell(figures, trials, time.monotonic() - began)
    with context.Pool(1) as pool:
        for seed, digest in pool.imap(digest_of, sorted(figures.digests)):
            if digest != figures.digests[seed]:
                figures.violations.setdefault(seed, []).append("twice the seed, and two stories")
            figures.repeated += 1
    return figures


def _say(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()


def _tell(figures: Figures, trials: int, seconds: float) -> None:
    bad = f", wrong: {sorted(figures.violations)}" if figures.violations else ""
    _say(
        sys.stderr,
        f"{figures.seeds} seeds, {figures.trials} of {trials} trials, "
        f"{sum(figures.faults.values())} faults of {len(figures.faults)} types, {seconds:.0f} s{bad}",
    )


def find_bug(name: str, most: int = _MOST_SEEDS) -> tuple[int, Story] | None:
    """Return how many seeds it takes to find a planted bug, and the story; ``None`` if it is not found."""
    with planted(name):
        for seed in range(most):
            story = simulate(seed)
            if story.violations:
                return seed + 1, story
    return None


def hunt_bug(name: str) -> tuple[str, dict[str, Any]]:
    """Look for one planted bug."""
    hit = find_bug(name)
    caught = sorted({v.invariant for v in hit[1].violations}) if hit is not None else []
    return name, {"seeds": hit[0] if hit is not None else None, "caught_by": caught}


def hunt_bugs(processes: int) -> dict[str, Any]:
    """Look for every planted bug."""
    found: dict[str, Any] = {}
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for name, figures in pool.imap_unordered(hunt_bug, BUGS):
            found[name] = figures
            _say(sys.stderr, f"{name}: {figures}")
    return found


def replay(seed: int, bug: str | None) -> int:
    """Print the story of one seed."""
    with planted(bug) if bug else contextlib.nullcontext():
        story = simulate(seed)
    _say(sys.stdout, story.text)
    for violation in story.violations:
        _say(sys.stdout, str(violation))
    _say(sys.stdout, f"digest {story.digest}")
    return 1 if story.violations else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description="Simulate searches in trouble, seed after seed.")
    parser.add_argument("--seed", type=int, help="replay this seed and print its story")
    parser.add_argument("--bug", choices=sorted(BUGS), help="with this bug planted")
    parser.add_argument("--bugs", action="store_true", help="look for every planted bug")
    parser.add_argument("--trials", type=int, default=100_000, help="how many trials to simulate")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no more after them")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2, help="how many at once")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return replay(options.seed, options.bug)
    if options.bugs:
        found = hunt_bugs(options.processes)
        _say(sys.stdout, json.dumps({"planted": len(found), "bugs": found}, indent=1))
        return 1 if any(bug["seeds"] is None for bug in found.values()) else 0
    figures = simulate_many(
        options.trials,
        first=options.first,
        processes=options.processes,
        seconds=options.seconds,
    )
    _say(sys.stdout, json.dumps(figures.as_json(), indent=1))
    return 1 if figures.violations else 0


if __name__ == "__main__":
    sys.exit(main())
