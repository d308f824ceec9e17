"""Whether trials that share a device gain by it: a pure record of step times, alone and together.

Two trials that each take twice as long beside the other have gained nothing
over taking turns. So for every number of trials on a device, the throughput is

    (number of trials) / (how many times longer a step takes than alone)

A trial is only ever compared with itself: step times of different models say
nothing about each other.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from statistics import median

__all__ = ("Packing", "Verdict")

_SAMPLES = 64
"""Slowdowns kept of each device and number; older ones were of other trials."""
_ENOUGH = 3
"""Fewer say too little: epochs are noisy."""
_GAIN = 1.05
"""More throughput than this is worth the memory and the longer wait for each result."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many trials should share a device.

    Attributes:
        most: The number.
        reason: The throughput that was measured, in words.
    """

    most: int
    reason: str


class Packing:
    """Step times on each device.

    Args:
        most: How many may share a device before anything is known.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._here: dict[str, set[str]] = defaultdict(set)
        self._steady: set[str] = set()
        self._alone: dict[str, float] = {}
        self._together: dict[tuple[str, int], list[float]] = {}
        self._slower: dict[tuple[str, int], deque[float]] = {}
        self._limits: dict[str, int] = {}

    def joined(self, uuid: str, trial_id: str) -> None:
        """Note that a trial began on a device."""
        self._here[uuid].add(trial_id)
        self._unsettle(uuid)

    def left(self, uuid: str, trial_id: str) -> None:
        """Note that a trial ended on a device."""
        self._here[uuid].discard(trial_id)
        self._unsettle(uuid)
        self._alone.pop(trial_id, None)
        for key in [key for key in self._together if key[0] == trial_id]:
            del self._together[key]

    def _unsettle(self, uuid: str) -> None:
        # An epoch during which somebody came or went is of neither kind; and
        # the first one of a trial compiles.
        self._steady -= self._here[uuid]

    def timed(self, uuid: str, trial_id: str, seconds: float) -> Verdict | None:
        """Take in the time of a step; return a verdict if it has changed.

        Args:
            uuid: The device.
            trial_id: The trial.
            seconds: Mean time of a training batch over the epoch that has just ended.
        """
        if trial_id not in self._steady:
            self._steady.add(trial_id)  # the next epoch is a whole one
            return None
        count = len(self._here[uuid])
        if count == 1:
            self._alone[trial_id] = seconds
            for (who, number), times in self._together.items():
                if who == trial_id:
                    self._note(uuid, number, median(times) / seconds)
                    times.clear()
            self._together = {k: v for k, v in self._together.items() if k[0] != trial_id}
        elif trial_id in self._alone:
            self._note(uuid, count, seconds / self._alone[trial_id])
        else:
            self._together.setdefault((trial_id, count), []).append(seconds)
        return self._judge(uuid)

    def _note(self, uuid: str, count: int, slower: float) -> None:
        self._slower.setdefault((uuid, count), deque(maxlen=_SAMPLES)).append(slower)

    def _judge(self, uuid: str) -> Verdict | None:
        """Allow the number with the highest throughput, and one more where that is not known."""
        gains = {1: 1.0}
        for count in range(2, self._most + 1):
            samples = self._slower.get((uuid, count), ())
            if len(samples) >= _ENOUGH:
                gains[count] = count / median(samples)
        best = max(gains, key=lambda count: gains[count])
        if gains[best] < _GAIN:
            best = 1
        known = max(gains)
        limit = self._most if best == known else best
        if limit == self._limits.get(uuid, self._most):
            return None
        self._limits[uuid] = limit
        worst = gains[known]
        return Verdict(limit, f"{known} trials together do {worst:.2f} times the work of one")
