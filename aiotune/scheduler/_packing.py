"""Whether trials that share a device gain by it: a pure record of step times, alone and together.

Two trials that each take twice as long beside the other have gained nothing
over taking turns. So for every number of trials on a device, the throughput is

    (number of trials) / (how many times longer a step takes than alone)

A trial is only ever compared with itself: step times of different models say
nothing about each other. Each trial is one piece of evidence, however many epochs it
has: the epochs of one trial agree with each other, and say little of the next. Equal
devices share what they learn. And no verdict is for ever: models change with the search, and a
device that was too hot for a while is not slow. After some more trials one device tries again.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

__all__ = ("Packing", "Verdict")

_TRIALS = 64
"""Trials whose slowdowns are kept, of each kind of device and number; older ones say less."""
_EPOCHS = 16
"""Slowdowns kept of each of them."""
_ENOUGH = 3
"""Fewer trials say too little."""
_GAIN = 1.05
"""More throughput than this is worth the memory and the longer wait for each result."""
_AGAIN, _AGAIN_MOST = 16, 256
"""Trials of a kind of device after which a verdict is put to the test; twice as many each time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many trials should share some devices.

    Attributes:
        most: The number.
        reason: The throughput that was measured, in words.
        devices: Which devices.
    """

    most: int
    reason: str
    devices: tuple[str, ...] = ()


@dataclass(slots=True)
class _Kind:
    """What equal devices have shown.

    ``slower`` holds the slowdowns of each trial by how many there were; ``most`` is the limit that
    follows; ``ended`` counts trials since it was found, and at ``again`` of them ``trying`` tries more.
    """

    most: int
    slower: dict[int, OrderedDict[str, deque[float]]] = field(default_factory=dict)
    ended: int = 0
    again: int = _AGAIN
    trying: str | None = None


class Packing:
    """Step times on each device.

    Args:
        most: How many may share a device before anything is known.
        kinds: The kind of each device; one that is not among them is like no other.
    """

    def __init__(self, most: int, kinds: Mapping[str, str] | None = None) -> None:
        self._most = most
        self._kind_of = dict(kinds or {})
        self._here: dict[str, set[str]] = defaultdict(set)
        self._steady: set[str] = set()
        self._alone: dict[str, float] = {}
        self._together: dict[tuple[str, int], list[float]] = {}
        self._kinds: dict[str, _Kind] = {}
        self._limits: dict[str, int] = {}

    def joined(self, uuid: str, trial_id: str) -> None:
        """Note that a trial began on a device."""
        self._here[uuid].add(trial_id)
        self._unsettle(uuid)

    def left(self, uuid: str, trial_id: str) -> Verdict | None:
        """Note that a trial ended on a device; return a verdict if it is time to try more again."""
        self._here[uuid].discard(trial_id)
        self._unsettle(uuid)
        self._alone.pop(trial_id, None)
        for key in [key for key in self._together if key[0] == trial_id]:
            del self._together[key]
        return self._try_again(uuid)

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
                    self._note(uuid, number, trial_id, median(times) / seconds)
            self._together = {k: v for k, v in self._together.items() if k[0] != trial_id}
        elif trial_id in self._alone:
            self._note(uuid, count, trial_id, seconds / self._alone[trial_id])
        else:
            self._together.setdefault((trial_id, count), []).append(seconds)
        return self._judge(uuid)

    def _kind(self, uuid: str) -> _Kind:
        self._kind_of.setdefault(uuid, uuid)
        return self._kinds.setdefault(self._kind_of[uuid], _Kind(self._most))

    def _note(self, uuid: str, count: int, trial_id: str, slower: float) -> None:
        trials = self._kind(uuid).slower.setdefault(count, OrderedDict())
        trials.setdefault(trial_id, deque(maxlen=_EPOCHS)).append(slower)
        trials.move_to_end(trial_id)
        if len(trials) > _TRIALS:
            trials.popitem(last=False)

    def _judge(self, uuid: str) -> Verdict | None:
        """Allow the number with the highest throughput, and one more where that is not known."""
        kind = self._kind(uuid)
        gains = {1: 1.0}
        for count in range(2, self._most + 1):
            trials = list(kind.slower.get(count, {}).values())
            if len(trials) >= _ENOUGH:
                gains[count] = count / median(median(times) for times in trials)
        best = max(gains, key=lambda count: gains[count])
        if gains[best] < _GAIN:
            best = 1
        known = max(gains)
        if kind.trying is not None and known <= kind.most:
            return None  # what is being tried has not shown anything yet
        was, kind.most = kind.most, self._most if best == known else best
        if kind.trying is not None:
            kind.again = min(2 * kind.again, _AGAIN_MOST) if kind.most <= was else _AGAIN
            kind.trying, kind.ended = None, 0
        elif kind.most != was:
            kind.ended = 0
        reason = f"{known} trials together do {gains[known]:.2f} times the work of one"
        return self._limit(self._like(uuid), kind.most, reason)

    def _try_again(self, uuid: str) -> Verdict | None:
        kind = self._kind(uuid)
        if kind.most >= self._most or kind.trying is not None:
            return None
        kind.ended += 1
        if kind.ended < kind.again:
            return None
        kind.trying = uuid
        kind.slower = {n: trials for n, trials in kind.slower.items() if n <= kind.most}
        reason = f"{kind.ended} trials have ended since more than {kind.most} together were found not to pay"
        return self._limit((uuid,), self._most, reason)

    def _like(self, uuid: str) -> tuple[str, ...]:
        return tuple(u for u, kind in self._kind_of.items() if kind == self._kind_of[uuid])

    def _limit(self, devices: tuple[str, ...], most: int, reason: str) -> Verdict | None:
        changed = tuple(u for u in devices if self._limits.get(u, self._most) != most)
        self._limits.update(dict.fromkeys(changed, most))
        return Verdict(most, reason, changed) if changed else None
