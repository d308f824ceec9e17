"""Clocks: the machine's, and one that is moved by hand."""

from __future__ import annotations

import time

import pytest

from aiotune._clock import Clock, ManualClock, SystemClock


def test_system_clock_is_the_machines() -> None:
    """Both readings lie between the machine's own before and after."""
    clock: Clock = SystemClock()
    before = (time.time(), time.monotonic())

    now, passed = clock.now(), clock.monotonic()

    assert before[0] <= now <= time.time()
    assert before[1] <= passed <= time.monotonic()


def test_manual_clock_stands_still() -> None:
    """Two readings without a move are the same."""
    clock: Clock = ManualClock(now=50.0)

    assert [clock.now(), clock.now()] == [50.0, 50.0]
    assert [clock.monotonic(), clock.monotonic()] == [0.0, 0.0]


@pytest.mark.parametrize("steps", [[1.5], [0.0, 2.0, 0.25]])
def test_manual_clock_moves_both_readings(steps: list[float]) -> None:
    """What passes is added to the Unix time and to the monotonic time alike."""
    clock = ManualClock(now=1_000.0)
    for step in steps:
        clock.advance(step)

    assert (clock.now(), clock.monotonic()) == (1_000.0 + sum(steps), sum(steps))
