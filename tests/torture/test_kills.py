"""Tuners killed at random moments, and second searches: nothing lost, nothing twice, nobody else let in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


def _run(script: str, directory: Path, number: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), str(directory), str(number)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("number", [8, pytest.param(1_000, marks=pytest.mark.torture)])
def test_killed_tuners_lose_nothing(tmp_path: Path, figures: dict[str, Any], number: int) -> None:
    """Every project opens, no told trial is lost, none is there twice, and no process lives a second longer."""
    figures |= _run("kill_searches.py", tmp_path, number)
    bad = ("refused_to_open", "raised", "unopenable", "lost", "recorded_twice", "processes_left")

    assert {name: figures[name] for name in bad} == dict.fromkeys(bad, 0)
    assert figures["kills"] == number
    assert figures["processes_seen"] >= 1


@pytest.mark.parametrize("number", [10, pytest.param(100, marks=pytest.mark.torture)])
def test_a_project_has_one_search(tmp_path: Path, figures: dict[str, Any], number: int) -> None:
    """A second search is refused with pid, host and start of the first; of many at once, one gets in."""
    figures |= _run("second_searches.py", tmp_path, number)

    assert figures["second"] == {"searches": number, "held": 1, "refused_by_name": number}
    assert figures["racing"] == {"searches": number, "held": 1, "refused": number - 1}


@pytest.mark.torture
def test_signals_fail_no_trial(tmp_path: Path, figures: dict[str, Any]) -> None:
    """Five programs, each ended ten times as by a closed terminal and ten times with its whole job."""
    figures |= _run("signal_searches.py", tmp_path, 10)
    bad = ("failed", "lost", "ended_otherwise", "processes_left")

    assert {name: figures[name] for name in bad} == dict.fromkeys(bad, 0)
    assert figures["signals"] == 100
