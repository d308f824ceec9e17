"""What a seed decides: what is searched on which machine, and which faults may happen."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiotune.testing.simulator._faults import (
    CHANNEL,
    CLOCK,
    DEVICE,
    DISK,
    ENDING,
    JOB,
    LANES,
    NEIGHBOUR,
    NURSERY,
    ORACLE,
    PROGRAM,
    SPAWN,
    TERMINAL,
    TUNER,
    USER,
    WEIGHING,
    Fault,
)
from aiotune.wire import RunAttempt
from aiotune_gpu import GIB

__all__ = ("ORACLES", "Happening", "Interruption", "Plan", "Setup", "draw_plan")

ORACLES = ("random", "grid", "hyperband", "bayesian")
_WEIGHTS = (10, 5, 4, 1)
"""The Gaussian process costs a thousand times as much as the others."""
_IN_ORDER = frozenset({"hyperband", "bayesian"})
"""What these propose follows from results, so only one at a time can be compared with a twin."""
_PRUNERS = ("", "", "median", "threshold")
_GPUS_OF_A_HOST = ((16,), (16,), (8, 16), (40, 8), (24, 22), (80, 16, 16))
_FAMILIES = (PROGRAM, ENDING, CHANNEL, SPAWN, DEVICE, DISK, TUNER, CLOCK, USER)
_LATER_FAMILIES = (JOB, ORACLE, WEIGHING)
"""Drawn with numbers of their own: the other faults of a seed do not depend on them."""
_SILENT, _FOR_EVER = 0.5, 1e6
_TROUBLED_LIVES = 5
"""After so many lives of the tuner nothing more happens to it, so that every search ends."""
_BY_COMMIT = frozenset({*TUNER, *DISK} - {Fault.TUNER_KILLED})
_ORDER = {fault: number for number, fault in enumerate(Fault)}
_IN_ATTEMPT = (*PROGRAM, *ENDING, *CHANNEL)
_ATTEMPT = frozenset(
    {*_IN_ATTEMPT, *SPAWN, *NURSERY, *WEIGHING, Fault.MEMORY_LATE, Fault.MEMORY_LEAKED}
)
_EVENTUAL = frozenset(
    {Fault.BUDGET_RAISED, Fault.SEARCHED_AGAIN, Fault.ORACLE_AWAITS, *NEIGHBOUR, *TERMINAL}
)
_ELSEWHERE = frozenset({*_ATTEMPT, *_EVENTUAL, *JOB})
"""What is not drawn among the happenings of a life."""
_UNSIGNALLED = 0.4
"""How many lives hear of no signal, where there are any."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is searched, with what, on what.

    Attributes:
        oracle: One of ``ORACLES``.
        trials: The budget; Hyperband has its own.
        slots: How many run at once on the CPU.
        gpus: How many GPUs there are; 0: the CPU.
        gib: What they have, in GiB, one after the other and then again.
        each: How many of them a trial gets.
        desktop: Whether a desktop holds a sixth of the first of them.
        host: What the host has for trials on the CPU, in GiB; ``None``: more than they need.
        parameters: ``max_model_size``.
        share: How many trials may share one.
        weighs: Whether trials are weighed first.
        retries: ``max_retries_per_trial``.
        consecutive: ``max_consecutive_failed_trials``.
        timeout: Seconds that an attempt may take.
        discovers: Whether a worker finds a hyperparameter that was not declared.
        prunes: Which pruner is on: ``"median"``, ``"threshold"``, or none.
        epochs: How many a training has, where the searcher does not say.
        trains: Whether the tuner trains Keras models, and so reckons with what their back end takes.
        segment_bytes: Size of the journal's segments; ``None``: the product's own.
        sync: Seconds that a sync takes, while records gather for the next one.
        saves: Whether a training saves its state after each epoch.
        stall_warn: Seconds without a sign of life after which stacks are dumped.
        stall: Seconds without a sign of life after which an attempt is ended.
    """

    oracle: str = "random"
    trials: int = 10
    slots: int = 2
    gpus: int = 0
    gib: tuple[int, ...] = (16,)
    each: int = 1
    desktop: bool = False
    host: int | None = None
    parameters: int | None = None
    share: int = 1
    weighs: bool = False
    retries: int = 1
    consecutive: int | None = None
    timeout: float = 120.0
    discovers: bool = False
    prunes: str = ""
    epochs: int = 2
    trains: bool = True
    segment_bytes: int | None = None
    sync: float = 0.002
    saves: bool = False
    stall_warn: float | None = None
    stall: float | None = None

    @property
    def gpu_bytes(self) -> tuple[int, ...]:
        """All memory of each GPU."""
        return tuple(self.gib[index % len(self.gib)] * GIB for index in range(self.gpus))

    @property
    def largest(self) -> int:
        """All memory of the largest GPU, or of the host."""
        return max(self.gpu_bytes, default=(self.host or 1) * GIB)

    @property
    def most(self) -> int:
        """How many attempts may run at once."""
        return self.gpus * self.share // self.each if self.gpus else self.slots


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens to one life of the tuner, at a second or at the n-th commit."""

    fault: Fault
    second: float = 0.0
    commit: int = 0


@dataclass(frozen=True, slots=True)
class Interruption:
    """Something that happens when the first report of each of some attempts is durable.

    Attributes:
        fault: What happens.
        after: The attempts, as (trial id, number).
    """

    fault: Fault
    after: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a seed decides; each question has its own numbers, whoever asks first.

    Attributes:
        seed: The seed.
        setup: What is searched.
        faults: The faults that may happen at all: some seeds have few, some all.
        rate: How likely an attempt meets one.
    """

    seed: int
    setup: Setup
    faults: frozenset[Fault]
    rate: float

    def numbers(self, *key: object) -> random.Random:
        """Return the random numbers that belong to a question, independent of all others."""
        return random.Random(f"{self.seed}/{key!r}")  # noqa: S311 - a simulation is no secret

    def among(self, family: Collection[Fault]) -> list[Fault]:
        """Return the faults of a family that may happen, in the order of their definition."""
        return sorted(self.faults.intersection(family), key=_ORDER.__getitem__)

    def strikes(self, family: Collection[Fault], *key: object) -> Fault | None:
        """Decide whether a fault of a family happens to something, and which."""
        numbers, able = self.numbers("strikes", *key), self.among(family)
        return numbers.choice(able) if able and numbers.random() < self.rate else None

    def fault_of(self, order: RunAttempt) -> Fault | None:
        """Decide what is wrong with an attempt."""
        fault = self.strikes(_IN_ATTEMPT, "attempt", order.index, order.retry)
        if fault in {Fault.FATAL, Fault.BAD_RESULT}:
            spared = 1 + self.numbers("fatal", order.index).randint(0, 1)
            # The cause was mended, or no search would ever end.
            return None if order.attempt > spared else fault
        return fault

    def seconds_of_an_epoch(self, order: RunAttempt) -> float:
        """Return how long an epoch of an attempt takes."""
        return self.numbers("seconds", order.index, order.retry).uniform(0.5, 4.0)

    def silence(self, fault: Fault, life: int) -> tuple[float, float]:
        """Return from when on, and until when, what a life writes to is not read; never, if they are equal."""
        numbers = self.numbers("silence", fault.name, life)
        if fault not in self.faults or numbers.random() > _SILENT:
            return (0.0, 0.0)
        begin = round(numbers.uniform(0.0, 40.0), 3)
        return (begin, begin + numbers.choice([30.0, 600.0, _FOR_EVER]))

    def interruptions(self, life: int) -> Sequence[Interruption]:
        """Return what happens to one life of the tuner when certain attempts have reported."""
        return ()

    def happenings(self, life: int) -> list[Happening]:
        """Return what happens to one life of the tuner."""
        numbers = self.numbers("happenings", life)
        if life >= _TROUBLED_LIVES:
            return []
        able = [f for f in self.among(list(Fault)) if f not in _ELSEWHERE]
        beside = [*self._neighbours(life), *self._signals(life)]
        if not able:
            return beside
        able += 3 * self.among(LANES) + 6 * self.among({Fault.DEVICE_DIES})  # few seeds have them
        able += [Fault.DISK_FULL] * 2 * (Fault.DISK_FULL in able)  # it takes longest, so more often
        chosen = [numbers.choice(able) for _ in range(numbers.choice([0, 1, 1, 2, 3]))]
        found = [
            Happening(fault, commit=numbers.randint(2, 60))
            if fault in _BY_COMMIT
            else Happening(fault, second=round(numbers.uniform(0.0, 40.0), 3))
            for fault in chosen
        ]
        return [*found, *beside, *self._impatience(found, life)]

    def _signals(self, life: int) -> list[Happening]:
        """Return what others send to one life of the tuner; whatever else happens does not depend on it."""
        numbers, able = self.numbers("signals", life), self.among(JOB)
        if not able or numbers.random() < _UNSIGNALLED:
            return []
        return [Happening(numbers.choice(able), second=round(numbers.uniform(0.0, 40.0), 3))]

    def _neighbours(self, life: int) -> list[Happening]:
        numbers = self.numbers("neighbours", life)
        count = numbers.randint(2, 8) if self.among(NEIGHBOUR) else 0
        seconds = (round(numbers.uniform(0.0, 40.0), 3) for _ in range(count))
        return [Happening(Fault.ANOTHER_SEARCH, second=second) for second in seconds]

    def _impatience(self, found: Sequence[Happening], life: int) -> list[Happening]:
        """Return the Ctrl-C of people who see something hang."""
        numbers = self.numbers("impatience", life)
        if Fault.INTERRUPTED not in self.faults:
            return []
        return [
            Happening(Fault.INTERRUPTED, second=round(seen.second + numbers.uniform(2.0, 20.0), 3))
            for seen in found
            if seen.fault in LANES
        ]

    def calm(self) -> Plan:
        """Return the plan of the uninterrupted twin: the same programs, and nothing around them."""
        return replace(self, faults=self.faults & frozenset({*PROGRAM, *ENDING, *CHANNEL}))


def draw_plan(
    seed: int, *, trials: int | None = None, faults: Collection[Fault] | None = None
) -> Plan:
    """Draw a plan.

    Args:
        seed: The seed.
        trials: The budget; default drawn.
        faults: What may happen; default a drawn part of everything, so that one
            fault does not hide what another would have brought to light.
    """
    numbers = random.Random(f"plan/{seed}")  # noqa: S311 - a simulation is no secret
    setup = _setup(numbers)
    # With numbers of its own: what is searched elsewhere does not depend on it.
    host = random.Random(f"host/{seed}")  # noqa: S311 - a simulation is no secret
    if setup.gpus:
        setup = replace(setup, **_host(host, setup.gpus))
    elif host.random() < 0.3:  # noqa: PLR2004
        setup = replace(setup, host=host.choice([6, 24]), weighs=True)
    drawn = _drawn(numbers, _FAMILIES)
    drawn |= _drawn(random.Random(f"later/{seed}"), _LATER_FAMILIES)  # noqa: S311 - likewise
    beside = random.Random(f"nursery/{seed}")  # noqa: S311 - a simulation is no secret
    drawn |= {fault for fault in NURSERY if beside.random() < 0.3}  # noqa: PLR2004
    # With numbers of their own, as the host.
    unread = random.Random(f"terminal/{seed}")  # noqa: S311 - a simulation is no secret
    drawn |= {fault for fault in TERMINAL if unread.random() < 0.4}  # noqa: PLR2004
    # With numbers of their own, too.
    lanes = random.Random(f"lanes/{seed}")  # noqa: S311 - a simulation is no secret
    if setup.gpus and host.random() < 0.6:  # noqa: PLR2004
        drawn |= {*NEIGHBOUR}
    if lanes.random() < 0.25:  # noqa: PLR2004
        drawn |= {fault for fault in LANES if lanes.random() < 0.6}  # noqa: PLR2004
    rate = numbers.choice([0.0, 0.1, 0.3, 0.5])
    if trials is not None:
        setup = replace(setup, trials=trials)
    return Plan(seed, setup, drawn if faults is None else frozenset(faults), rate)


def _drawn(numbers: random.Random, families: Sequence[Sequence[Fault]]) -> frozenset[Fault]:
    return frozenset(
        fault
        for family in families
        if numbers.random() < 0.6  # noqa: PLR2004 - swarm testing: most families, not all
        for fault in family
        if numbers.random() < 0.6  # noqa: PLR2004
    )


def _host(numbers: random.Random, gpus: int) -> dict[str, Any]:
    gib = numbers.choice(_GPUS_OF_A_HOST)
    return {
        "gib": gib,
        "each": 2 if gpus > 1 and numbers.random() < 0.3 else 1,  # noqa: PLR2004
        "parameters": numbers.choice([None, None, None, max(gib[:gpus]) * GIB // 12]),
        "desktop": numbers.random() < 0.25,  # noqa: PLR2004
    }


def _setup(numbers: random.Random) -> Setup:
    (oracle,) = numbers.choices(ORACLES, _WEIGHTS)
    gpus = numbers.choice([0, 0, 1, 2, 4])
    return Setup(
        oracle=oracle,
        trials=numbers.randint(4, 7) if oracle == "bayesian" else numbers.randint(4, 24),
        slots=numbers.choice([1, 1, 2, 4] if oracle in _IN_ORDER else [1, 2, 4]),
        gpus=gpus,
        share=numbers.choice([1, 2, 4]),
        weighs=gpus > 0 and numbers.random() < 0.7,  # noqa: PLR2004
        retries=numbers.choice([0, 1, 2]),
        consecutive=numbers.choice([None, None, 3, 5]),
        timeout=numbers.choice([60.0, 150.0]),
        discovers=oracle in {"random", "hyperband"} and numbers.random() < 0.3,  # noqa: PLR2004
        prunes=numbers.choice(_PRUNERS) if oracle in {"random", "grid"} else "",
        epochs=numbers.choice([2, 2, 3, 5]),
        saves=numbers.random() < 0.5,  # noqa: PLR2004
        stall_warn=numbers.choice([None, 20.0]),
        segment_bytes=numbers.choice([None, 2_000, 10_000]),
        sync=numbers.choice([0.0, 0.002, 0.2]),
        stall=numbers.choice([None, None, 30.0]),
    )
