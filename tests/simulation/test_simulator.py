"""Searches in simulated trouble: the same seed tells the same story."""

from __future__ import annotations

import pytest

from aiotune.testing.simulator import simulate


@pytest.mark.parametrize("seed", [3, 36, 41])
def test_a_seed_tells_the_same_story_byte_for_byte(seed: int) -> None:
    """Twice the same seed: the same lines at the same times, the same records."""
    first, second = simulate(seed), simulate(seed)

    assert second.text == first.text
    assert second.digest == first.digest


def test_without_faults_nothing_goes_wrong() -> None:
    """No fault, no violation: each trial completes at its first attempt, in one life of the tuner."""
    for seed in range(8):
        story = simulate(seed, faults=(), trials=6)

        assert story.violations == (), story.text
        assert (story.lives, sum(story.faults.values())) == (1, 0)
        assert set(story.statuses) <= {"COMPLETED", "REJECTED"}
