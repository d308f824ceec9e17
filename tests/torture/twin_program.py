"""The program of the searches that are killed and compared with their twins, and its search spaces.

It imports no more than a trial needs: every worker imports it anew.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import aiotune
from aiotune.errors import FailedTrialError
from aiotune.worker._context import AttemptContext, current_attempt

__all__ = ("DIVERGED", "SPACES", "Program")

DIVERGED = 100.0
"""The value of a trial that is stopped early."""


class Program(aiotune.Tuner):
    """Trials without a model, whose results their values, their training so far and their seed decide.

    Of ten, one fails for good, two fail and may be run again, one diverges and is
    stopped early.

    Attributes:
        asks: The space that it asks for; "" if all is known in advance.
        seeded: Whether its luck is that of its number, or that of its values.
        tell: Where the end of each trial is told.
    """

    asks = ""
    seeded = True
    tell = -1

    def on_trial_end(self, trial: aiotune.Trial) -> None:
        """Tell of it."""
        if trial.status.is_final:
            os.write(self.tell, f"{trial.trial_id} {trial.score!r}\n".encode())

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> dict[str, float]:
        """Train as many rounds as the budget says, from the parent's state on."""
        if self.asks:
            SPACES[self.asks](trial.hyperparameters)
        values = {k: v for k, v in trial.hyperparameters.values.items() if k[:6] != "tuner/"}
        luck = self._luck(trial, values)
        state = self._trained(trial, values)
        score = _badness(values) + state / 1000 + luck.random() / 1000
        fate = luck.random()
        if fate < 0.1:
            raise FailedTrialError("It cannot work with these values.")
        if fate < 0.3:
            raise ConnectionResetError("It may work another time.")
        _context().report(0, {"score": score})
        if fate < 0.4:
            _diverge()
            return {"score": DIVERGED + score}
        return {"score": score}

    def _luck(self, trial: aiotune.Trial, values: Mapping[str, Any]) -> random.Random:
        """Return the trial's random numbers: those it was seeded with, if its number is certain."""
        if self.seeded:
            return random.Random(random.random())
        retry = _context().order.retry
        return random.Random(repr((sorted(values.items()), trial.budget.get("epochs"), retry)))

    def _trained(self, trial: aiotune.Trial, values: Mapping[str, Any]) -> float:
        """Go on from what the parent trial has left, and leave as much; return a number in [0, 1)."""
        before = ""
        if trial.parent_id is not None:
            before = (self.get_trial_dir(trial.parent_id) / "state").read_text()
        message = f"{before}/{sorted(values.items())}/{trial.budget.get('epochs')}"
        state = blake2b(message.encode(), digest_size=4).hexdigest()
        folder = Path(self.get_trial_dir(trial.trial_id))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state").write_text(state)
        return int(state, 16) / 2**32


def _diverge() -> None:
    """Report a useless value, and wait for the pruner's word."""
    context = _context()
    context.report(1, {"score": DIVERGED})
    while context.asked_to_finish() is None:
        threading.Event().wait(0.001)


def _context() -> AttemptContext:
    context = current_attempt.get()
    assert context is not None
    return context


def _badness(values: Mapping[str, Any]) -> float:
    numbers = [float(v) for v in values.values() if isinstance(v, (int, float))]
    return sum((number - 0.3) ** 2 for number in numbers) / (1 + len(numbers))


def _ranges(hp: aiotune.HyperParameters) -> None:
    hp.Float("x", 0.0, 1.0)
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Choice("kind", ["plain", "deep"])
    with hp.conditional_scope("kind", ["deep"]):
        hp.Int("depth", 1, 9)


def _lists(hp: aiotune.HyperParameters) -> None:
    hp.Int("n", 0, 2)
    hp.Boolean("wide")
    hp.Choice("kind", ["plain", "deep"])
    with hp.conditional_scope("kind", ["deep"]):
        hp.Int("depth", 1, 3)


SPACES: dict[str, Callable[[aiotune.HyperParameters], None]] = {"ranges": _ranges, "lists": _lists}
"""All spaces, by name."""
