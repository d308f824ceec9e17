"""Searches killed at random moments and continued to their end: what they find is what an uninterrupted one finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("kill_twins.py")
BAD = (
    "refused_to_open",
    "raised",
    "unopenable",
    "lost",
    "recorded_twice",
    "different",
    "processes_left",
)
ALONE = ("random", "grid", "hyperband", "bayesian", "own")
KINDS = (*ALONE, *(f"{kind}, three at once" for kind in ALONE[:4]), "random, discovering")


def _killed(directory: Path, number: int, *kinds: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(directory), str(number), *kinds],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    for kind in kinds:
        wrong = {name: count for name in BAD if (count := told[kind][name])}
        assert wrong == {}, f"{kind}: {done.stderr}"
        assert told[kind]["kills"] >= number
    return told


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_a_search_killed_at_fifty_moments_is_its_twin(
    tmp_path: Path, figures: dict[str, Any], kind: str
) -> None:
    """Nothing lost, nothing twice, nothing else tried, no process left; and the trials were of all kinds."""
    figures |= _killed(tmp_path, 50, kind)[kind]

    assert min(figures[fate] for fate in ("completed", "failed", "retried", "pruned")) > 0


def test_a_killed_search_is_its_twin(tmp_path: Path) -> None:
    """Killed once, the trials, their values and what came of them are those of the search in one piece."""
    kinds = ("short random", "short grid", "short hyperband", "short bayesian", "short own")
    told = _killed(tmp_path, 1, *kinds)

    assert [told[kind]["projects"] for kind in kinds] == [1, 1, 1, 1, 1]
