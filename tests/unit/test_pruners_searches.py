"""What pruners are for: shorter searches with as good an end."""

from __future__ import annotations

import math
import random

import pytest

from aiotune.pruners import (
    Curve,
    MedianPruner,
    PatiencePruner,
    Pruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)


def pruned_search(pruner: Pruner) -> tuple[float, int]:
    """Train 64 configurations, four at once, whose losses fall noisily to a floor of their own.

    Returns:
        Which share of the 27 epochs each was trained, and the best configuration's
        rank, from 0, by its floor.
    """
    chance = random.Random(3)
    floors = [chance.random() for _ in range(64)]
    curves: dict[int, dict[int, float]] = {index: {} for index in range(64)}
    waiting, running = list(range(64)), list[int]()
    while waiting or running:
        running += [waiting.pop(0) for _ in range(min(4 - len(running), len(waiting)))]
        for index in list(running):
            step, floor = len(curves[index]), floors[index]
            fallen = floor + (1.5 - floor) * math.exp(-step / 4)
            curves[index][step] = fallen + chance.gauss(0, 0.02)
            rest = [Curve(i, c) for i, c in curves.items() if c and i != index]
            if step == 26 or pruner.judge(Curve(index, curves[index]), step, rest, minimize=True):
                running.remove(index)
    best = min(curves, key=lambda index: min(curves[index].values()))
    return sum(map(len, curves.values())) / (64 * 27), sorted(floors).index(floors[best])


@pytest.mark.parametrize(
    ("pruner", "most"),
    [
        (ThresholdPruner(), 1.0),
        (MedianPruner(warmup_steps=3), 0.4),
        (SuccessiveHalvingPruner(min_resource=3), 0.25),
        (PatiencePruner(3, min_delta=0.02), 0.65),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_search_becomes_shorter_and_finds_as_good_a_configuration(
    pruner: Pruner, most: float
) -> None:
    """A share of all epochs is trained, and what comes out best is one of the two best there are."""
    trained, rank = pruned_search(pruner)

    assert most - 0.05 <= trained <= most
    assert rank <= 1
