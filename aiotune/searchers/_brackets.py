"""The brackets of Hyperband: how many trials train for how long, and who goes on."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import NamedTuple

from aiotune.searchers._base import Tried
from aiotune.status import TrialStatus

__all__ = ("Bracket", "BracketRun", "Promotion", "brackets_of")


@dataclass(frozen=True, slots=True)
class Bracket:
    """One way to share the epochs out: many trials for a short time, or few for a long one.

    Attributes:
        number: KerasTuner's number of it; 0 is the bracket that trains each trial in full at once.
        sizes: How many trials each of its ``number + 1`` rounds has.
        epochs: Up to which epoch each round trains; the last one's is ``max_epochs``.
    """

    number: int
    sizes: tuple[int, ...]
    epochs: tuple[int, ...]

    def initial_epoch(self, round_number: int) -> int:
        """Return the epoch, counted from 0, from which a round goes on."""
        return self.epochs[round_number - 1] if round_number else 0


def brackets_of(max_epochs: int, factor: int) -> tuple[Bracket, ...]:
    """Return the brackets of one iteration, in the order in which they are opened.

    With s the largest number for which ``factor ** s <= max_epochs``, and n the
    least for which ``factor ** (n - 1) >= max_epochs``, bracket b of s, s - 1,
    ..., 0 has b + 1 rounds; its round r has ``ceil(n / (b + 1) * factor ** (b - r))``
    trials that train up to epoch ``ceil(max_epochs / factor ** (b - r))``. Li et
    al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
    Optimization" (2018), algorithm 1, with the sizes that KerasTuner documents by its
    behaviour; in whole numbers, so that powers of ``factor`` are met exactly.

    Args:
        max_epochs: At least 1.
        factor: At least 2.
    """
    powers = [1]
    while powers[-1] * factor <= max_epochs:
        powers.append(powers[-1] * factor)
    breadth = len(powers) + (powers[-1] < max_epochs)
    return tuple(
        Bracket(
            number=number,
            sizes=tuple(_ceil_div(breadth * power, number + 1) for power in powers[number::-1]),
            epochs=tuple(_ceil_div(max_epochs, power) for power in powers[number::-1]),
        )
        for number in reversed(range(len(powers)))
    )


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


class Promotion(NamedTuple):
    """Which trial goes on, and in which round."""

    round_number: int
    parent: int


@dataclass(slots=True)
class _Round:
    """The trials of one round.

    ``candidates`` is a heap of ``(badness, root, index)``; it may still hold
    what was ``promoted``, which is dropped when it comes to the top.
    """

    created: int = 0
    completed: int = 0
    failed: int = 0
    rejected: int = 0
    candidates: list[tuple[float, int, int]] = field(default_factory=list)
    promoted: set[int] = field(default_factory=set)

    @property
    def alive(self) -> int:
        """How many are running or completed."""
        return self.created - self.failed - self.rejected

    @property
    def running(self) -> int:
        return self.alive - self.completed

    def best_left(self) -> int | None:
        """Return the best completed trial that was not promoted yet."""
        while self.candidates and self.candidates[0][-1] in self.promoted:
            self.promoted.remove(heapq.heappop(self.candidates)[-1])
        return self.candidates[0][-1] if self.candidates else None

    def best_of_left(self, count: int) -> list[int]:
        """Return the best completed trials that were not promoted yet."""
        left = (one for one in self.candidates if one[-1] not in self.promoted)
        return [index for _, _, index in heapq.nsmallest(count, left)]


class BracketRun:
    """How far one bracket of one iteration has come.

    Args:
        bracket: Which bracket.
    """

    def __init__(self, bracket: Bracket) -> None:
        self.bracket = bracket
        self._rounds = [_Round() for _ in bracket.sizes]

    # ── what happened ──────────────────────────────────────────────────────

    def enter(self, round_number: int, parent: int | None) -> None:
        """Count a new trial."""
        self._rounds[round_number].created += 1
        if parent is not None:
            self._rounds[round_number - 1].promoted.add(parent)

    def end(self, round_number: int, trial: Tried, root: int, *, minimize: bool) -> None:
        """Count the end of a trial.

        Args:
            round_number: The trial's round.
            trial: The trial, ended.
            root: The trial of round 0 that it descends from. Of equally good
                trials that with the older one is the better; the order of their own
                creation would depend on how many ran at once.
            minimize: Whether a smaller score is better.
        """
        its = self._rounds[round_number]
        if trial.status is TrialStatus.COMPLETED:
            its.completed += 1
            bad = math.inf if trial.score is None else trial.score * (1 if minimize else -1)
            heapq.heappush(its.candidates, (bad, root, trial.index))
        elif trial.status is TrialStatus.REJECTED:
            its.rejected += 1
        else:
            its.failed += 1

    # ── what follows ───────────────────────────────────────────────────────

    @property
    def entered(self) -> int:
        """How many trials its first round was given, failed ones too."""
        return self._rounds[0].created

    @property
    def wants_new(self) -> bool:
        """Whether its first round takes another configuration.

        One that failed or was rejected is replaced; but as many failures as there are places
        end that, or a program that always fails would never be done. A
        rejection costs next to nothing, so those are not counted.
        """
        first, size = self._rounds[0], self.bracket.sizes[0]
        return first.alive < size and first.failed < size

    @property
    def is_over(self) -> bool:
        """Whether nothing runs in it and nothing can follow, whatever happens elsewhere."""
        quiet = not any(its.running for its in self._rounds)
        return quiet and not self.wants_new and self.promotion() is None

    def continuable(self) -> list[int]:
        """Return the trials that would be promoted if the search went on without a failure."""
        found: list[int] = []
        for below, its, size in zip(
            self._rounds, self._rounds[1:], self.bracket.sizes[1:], strict=False
        ):
            found += below.best_of_left(max(0, size - its.alive))
        return found

    def promotion(self, *, nothing_new: bool = False) -> Promotion | None:
        """Return what can go on now, the earliest round first.

        A trial goes on as soon as it is certain to be among the best of its round,
        however those that still run or are still to come turn out. So the same
        trials go on whatever the order in which they end, and nobody waits
        for the round's end. What failed after its promotion is replaced by the next best.

        Args:
            nothing_new: There is no configuration left for the first round: it
                stays as small as it is, and the other rounds shrink in proportion.
        """
        first, sizes = self._rounds[0], self.bracket.sizes
        entrants = sizes[0] if self.wants_new and not nothing_new else first.alive
        expected = entrants  # how many will have completed the round below
        for number in range(1, len(sizes)):
            below, its = self._rounds[number - 1], self._rounds[number]
            size = min(sizes[number], _ceil_div(sizes[number] * entrants, sizes[0]))
            still_to_come = expected - below.completed
            if its.alive + still_to_come < size:
                best = below.best_left()
                if best is not None:
                    return Promotion(number, best)
            expected = min(size, expected - its.failed - its.rejected)
        return None
