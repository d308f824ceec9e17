"""Hyperband: many configurations for a few epochs, the best of them for more."""

from __future__ import annotations

import math
import numbers
from typing import Any, NamedTuple

from aiotune._printable import shown
from aiotune._values import Value
from aiotune.errors import ConfigurationError
from aiotune.searchers._base import (
    Exhausted,
    History,
    Proposal,
    SearcherDecision,
    Tried,
    Wait,
)
from aiotune.searchers._brackets import Bracket, BracketRun, Promotion, brackets_of
from aiotune.searchers._random import RandomSearcher

__all__ = ("HyperbandSearcher",)

_MOST = 1_000_000
"""Epochs, iterations; beyond it the brackets alone would hold millions of trials."""


class HyperbandSearcher:
    """Opens brackets of random configurations and promotes the best of each round to more epochs.

    Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
    Optimization" (2018). A promotion is a new trial with its parent's values; its budget tells
    the trainer from which ``parent`` and ``initial_epoch`` to go on, and up to which ``epochs``.

    While trials run, slots are kept busy: a bracket that can neither take a new
    configuration nor promote leaves room for the next one, and the last bracket of an iteration
    for the next iteration. Its decisions do not depend on the number of slots: configuration k
    of a bracket is drawn from (seed, bracket, k), and a trial is promoted
    as soon as no other can take its place any more.

    A trial that failed or was rejected is replaced: in the first round by a new
    configuration, later by the next best. When the space has no
    configuration left, the brackets are finished with those they have, shrunk in proportion.

    Trials whose budget does not fit ``max_epochs`` and ``factor``, as those of a
    project that was begun with others, belong to no bracket; their
    configurations are not tried again.

    Args:
        max_epochs: Epochs of a trial that reaches the last round.
        factor: One in this many trials goes on to the next round.
        hyperband_iterations: How often all brackets are run; 0, ``None`` or infinity: without end.

    Raises:
        ConfigurationError: ``max_epochs`` is no whole number >= 1, ``factor`` none
            >= 2, or ``hyperband_iterations`` none >= 0.
    """

    def __init__(
        self, max_epochs: int = 100, factor: int = 3, hyperband_iterations: float | None = 1
    ) -> None:
        max_epochs = _checked("max_epochs", max_epochs, 1, "the epochs of a fully trained trial")
        factor = _checked("factor", factor, 2, "one in that many trials goes on to the next round")
        self.brackets = brackets_of(max_epochs, factor)
        self.iterations = _iterations(hyperband_iterations)
        self._random = RandomSearcher()
        self._progress = _Progress(self.brackets)

    @property
    def is_heavy(self) -> bool:
        """As of :class:`RandomSearcher`, for the configurations that are left; the rest takes microseconds."""
        return self._random.is_heavy

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        self._follow(history)
        nothing_new = False
        for number, run in self._progress.open.items():
            if run.wants_new and not nothing_new:
                found = self._new(history, number, run.entered)
                if found is not None:
                    return found
                nothing_new = True
            promotion = run.promotion(nothing_new=nothing_new)
            if promotion is not None:
                return self._promoted(history, number, promotion)
        if not nothing_new:
            opened = self._opened(history)
            if opened is not None:
                return opened
        return Wait() if history.unfinished else Exhausted()

    def continuable(self, history: History) -> set[int]:
        """Return the ended trials that a later one may go on with: whose states are worth keeping."""
        self._follow(history)
        return {index for run in self._progress.open.values() for index in run.continuable()}

    def _follow(self, history: History) -> None:
        if not self._progress.is_of(history):
            self._progress = _Progress(self.brackets)
            self._random = RandomSearcher()  # it remembers that a space is used up
        self._progress.update(history)

    def _opened(self, history: History) -> Proposal | None:
        number = self._progress.first_unopened
        beyond = number >= self.iterations * len(self.brackets)
        return None if beyond else self._new(history, number, 0)

    def _new(self, history: History, number: int, entered: int) -> Proposal | None:
        """Return a configuration for a first round; ``None`` if there is none that is not taken."""
        # Each bracket has random numbers of its own, so what it tries does not
        # depend on which others have begun when a failure is replaced.
        drawn = self._random.propose(history, (number << 32) + entered)
        if not isinstance(drawn, Proposal):
            return None
        return Proposal(drawn.values, drawn.stream, self._budget(number, 0))

    def _promoted(self, history: History, number: int, promotion: Promotion) -> Proposal:
        round_number, parent = promotion
        budget = self._budget(number, round_number)
        return Proposal(dict(history.tried[parent].values), 0, {**budget, "parent": parent})

    def _budget(self, number: int, round_number: int) -> dict[str, Value]:
        iteration, opened = divmod(number, len(self.brackets))
        bracket = self.brackets[opened]
        return {
            "epochs": bracket.epochs[round_number],
            "initial_epoch": bracket.initial_epoch(round_number),
            "bracket": bracket.number,
            "round": round_number,
            "iteration": iteration,
        }


class _Place(NamedTuple):
    """Where a trial stands; ``root`` is the trial of the first round that it descends from."""

    run: BracketRun
    number: int
    round_number: int
    root: int


class _Progress:
    """The brackets that were opened, kept up with a history in steps that cost what has changed.

    Brackets are numbered over all iterations in the order of their opening.
    """

    def __init__(self, brackets: tuple[Bracket, ...]) -> None:
        self._brackets = brackets
        self.open: dict[int, BracketRun] = {}
        self.first_unopened = 0
        self._runs: dict[int, BracketRun] = {}
        self._places: list[_Place | None] = []
        self._running: dict[int, Tried] = {}
        self._ended: Tried | None = None

    def is_of(self, history: History) -> bool:
        """Whether it was made from this very history, or from what has become it since.

        The entry of a trial is replaced when the trial ends, and never again: so an
        ended one is the same object, or the history is another project's or a replayed one.
        Before any has ended, all that was learned is where each stands.
        """
        tried, last = history.tried, self._ended
        if len(tried) < len(self._places):
            return False
        if last is not None:
            return tried[last.index] is last
        return all(tried[i].budget == trial.budget for i, trial in self._running.items())

    def update(self, history: History) -> None:
        """Take in new and ended trials."""
        for trial in history.tried[len(self._places) :]:
            place = self._place_of(trial)
            self._places.append(place)
            self._running[trial.index] = trial
            if place is not None:
                place.run.enter(place.round_number, _whole(trial.budget.get("parent")))
        for index in [i for i in self._running if i not in history.unfinished]:
            del self._running[index]
            self._ended = history.tried[index]
            self._end(self._ended, minimize=history.minimize)

    def _end(self, trial: Tried, *, minimize: bool) -> None:
        place = self._places[trial.index]
        if place is None:
            return
        place.run.end(place.round_number, trial, place.root, minimize=minimize)
        if place.run.is_over:
            self.open.pop(place.number, None)

    def _place_of(self, trial: Tried) -> _Place | None:
        """Return where a trial belongs; ``None`` if its budget fits no bracket."""
        budget, count = trial.budget, len(self._brackets)
        iteration, bracket_number, round_number = (
            _whole(budget.get(key)) for key in ("iteration", "bracket", "round")
        )
        if iteration is None or bracket_number is None or round_number is None:
            return None
        if bracket_number >= count or round_number > bracket_number:
            return None
        bracket = self._brackets[count - 1 - bracket_number]
        begins, ends = bracket.initial_epoch(round_number), bracket.epochs[round_number]
        if (budget.get("initial_epoch"), budget.get("epochs")) != (begins, ends):
            return None
        number = iteration * count + count - 1 - bracket_number
        if round_number == 0:
            return _Place(self._run(number, bracket), number, 0, trial.index)
        parent = _whole(budget.get("parent"))
        above = self._places[parent] if parent is not None and parent < trial.index else None
        if above is None or (above.number, above.round_number) != (number, round_number - 1):
            return None
        return _Place(above.run, number, round_number, above.root)

    def _run(self, number: int, bracket: Bracket) -> BracketRun:
        if number not in self._runs:
            self._runs[number] = self.open[number] = BracketRun(bracket)
            while self.first_unopened in self._runs:
                self.first_unopened += 1
        return self._runs[number]


def _whole(value: Value | None) -> int | None:
    """Return a number >= 0, or ``None`` if it is none: a budget comes from a file."""
    usable = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if usable and value is not None else None


def _iterations(given: Any) -> float:
    """Return how many iterations there are, maybe infinitely many."""
    if given is None or given == math.inf:
        return math.inf
    return _checked("hyperband_iterations", given, 0, "0 stands for no end") or math.inf


def _checked(name: str, value: Any, least: int, meaning: str) -> int:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < least:
        raise ConfigurationError(
            f"{name} of Hyperband must be a whole number >= {least} ({meaning}), but is {shown(value)}."
        )
    if value > _MOST:
        raise ConfigurationError(
            f"{name} of Hyperband must be at most {_MOST:,} ({meaning}), but is {shown(value)}."
        )
    return int(value)
