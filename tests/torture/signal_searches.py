"""Ends searches as terminals and batch systems do, and looks at what became of their trials; prints figures.

``signal_searches.py DIRECTORY SIGNALS [SEED]``: each of five programs gets so many SIGHUP, and so many
SIGTERM to its whole job: all processes, in any order, at any moment. Then it runs to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from killed_search import Search

import aiotune
import aiotune._search  # what a search imports is imported before the fork
from aiotune import events
from aiotune.store import Layout, read_events

__all__ = ("main",)

_TRIALS = 48
_LONGEST = 60.0


class Program(aiotune.RandomSearch):
    """Trials that take their time; each end is told to whoever reads the pipe."""

    tell = -1
    seconds = 0.15

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        time.sleep(self.seconds)  # noqa: TID251 - stands for work
        return x

    def on_trial_end(self, trial: aiotune.Trial) -> None:
        os.write(self.tell, f"{trial.trial_id} {trial.status}\n".encode())


class WithChildren(Program):
    """Each trial has a child of its own, which gets the signal as well."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        subprocess.Popen(["sleep", "60"])
        return super().run_trial(trial)


class WithHooks(Program):
    """Its hooks are coroutines and take a moment."""

    async def on_trial_begin(self, trial: aiotune.Trial) -> None:
        await asyncio.sleep(0.03)

    async def pre_create_trial(self) -> None:
        await asyncio.sleep(0.03)


Made = Callable[..., Program]
_PROGRAMS: dict[str, tuple[Made, Callable[[], asyncio.AbstractEventLoop] | None]] = {
    "one-at-a-time": (partial(Program, max_parallel_trials=1), None),
    "four-at-a-time": (partial(Program, max_parallel_trials=4), None),
    "with-children": (partial(WithChildren, max_parallel_trials=3), None),
    "with-retries": (partial(Program, max_parallel_trials=2, max_retries_per_trial=1), None),
    "with-hooks": (partial(WithHooks, max_parallel_trials=4), uvloop.new_event_loop),
}


def _search(directory: Path, program: str, name: str, tell: int) -> None:
    made, factory = _PROGRAMS[program]
    tuner = made(max_trials=_TRIALS, seed=7, directory=directory, project_name=name, stop_grace=2.0)
    tuner.tell = tell
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(tuner.search(verbose=0))


class _Sender:
    """Sends signals to the searches of one program, and counts what they do to its trials."""

    def __init__(self, directory: Path, program: str, rng: random.Random) -> None:
        self.directory, self.program, self.rng = directory, program, rng
        self.figures = Counter[str]()
        self.number = 0

    def send_all(self, numbers: list[signal.Signals]) -> None:
        left = numbers.copy()
        while left:
            search = Search(partial(_search, self.directory, self.program, self._name))
            self._somewhen(search)
            sent = self._send(search, left)
            found = search.wait()
            if found.code == 0:  # it had ended before
                left.append(signal.Signals(sent))
            self.figures["signals"] += found.code != 0
            self.figures["ended_otherwise"] += found.code not in {0, -sent}
            self.figures["processes_left"] += found.left
            if found.code == 0:
                self._judge()
        search = Search(partial(_search, self.directory, self.program, self._name))
        search.listen(1_000, _LONGEST)
        self.figures["ended_otherwise"] += search.wait().code != 0
        self._judge()

    @property
    def _name(self) -> str:
        return f"{self.program}-{self.number}"

    def _somewhen(self, search: Search) -> None:
        if self.rng.random() < 0.2:
            search.listen(1_000, self.rng.uniform(0.1, 0.6))  # while it begins
        else:
            search.listen(self.rng.randint(1, 3), 10.0)
            search.listen(1_000, self.rng.uniform(0.0, 0.2))

    def _send(self, search: Search, left: list[signal.Signals]) -> int:
        job = search.job()
        how = self.rng.choice(("any order", "workers first", "tuner first", "tuner alone"))
        if how in {"tuner first", "tuner alone"}:
            tuner, others = job[:1], job[1:]
            gaps = self.rng.choice((0.0, 0.005, 0.03))
        else:
            tuner, others = job[1:], job[:1]
            gaps = self.rng.choice((0.0, 0.005, 0.03, 0.3))
        if how == "any order":
            tuner, others = self.rng.sample(job, len(job)), []
        number = left.pop()
        for pid in tuner:
            _kill(pid, number)
            if how == "any order":
                time.sleep(self.rng.uniform(0.0, 0.004))  # noqa: TID251 - the order is what is tried
        time.sleep(gaps)  # noqa: TID251 - likewise
        for pid in others if how != "tuner alone" else job[:1]:
            _kill(pid, number)
        self.figures[how] += 1
        return number

    def _judge(self) -> None:
        history = read_events(Layout(self.directory, self._name))
        ended = [e for e in history if isinstance(e, events.TrialEnded)]
        failed = [e for e in ended if e.status != "COMPLETED"]
        for one in failed:
            sys.stderr.write(f"{self._name}: {one.failure}\n")
        self.figures["projects"] += 1
        self.figures["completed"] += len(ended) - len(failed)
        self.figures["failed"] += len(failed)
        self.figures["lost"] += _TRIALS - len({e.trial_id for e in ended})
        ends = Counter(
            e.failure.kind for e in history if isinstance(e, events.AttemptEnded) and e.failure
        )
        self.figures.update({f"attempts_{kind}": number for kind, number in ends.items()})
        requeued = [e.reason for e in history if isinstance(e, events.TrialRequeued)]
        self.figures.update(f"requeued_{reason}" for reason in requeued)
        self.number += 1


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def main() -> None:
    """Send the signals, and print the figures as one JSON object; on the way, to stderr."""
    signal.signal(
        signal.SIGHUP, signal.SIG_DFL
    )  # under nohup the searches would not hear it either
    each, seed = int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    figures = dict.fromkeys(("failed", "lost", "ended_otherwise", "processes_left"), 0)
    total = Counter[str](figures)
    for program in _PROGRAMS:
        rng = random.Random(f"{seed}/{program}")
        sender = _Sender(Path(sys.argv[1]), program, rng)
        numbers = [signal.SIGHUP] * each + [signal.SIGTERM] * each
        sender.send_all(rng.sample(numbers, len(numbers)))
        sys.stderr.write(f"{program}: {json.dumps(sender.figures)}\n")
        total.update(sender.figures)
    sys.stdout.write(f"{json.dumps(dict(figures) | total)}\n")


if __name__ == "__main__":
    main()
