"""A search that trains Keras models, killed within epochs: it goes on from the last one, and ends like its twin."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiotune import events
from aiotune.store import Layout, read_events

pytestmark = [pytest.mark.keras, pytest.mark.torture]

SCRIPT = Path(__file__).with_name("keras_search.py")
KILLS = 5


def start(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def epochs(path: Path) -> list[str]:
    """Return a line for each epoch that was begun, whichever attempt began it."""
    logs = [log.read_text() for log in sorted(path.glob("p/trial_*/attempt-*/output.log"))]
    return [line for text in logs for line in text.splitlines() if line.startswith("Epoch ")]


def killed_after(path: Path, begun: int) -> None:
    """Start the search and kill it when so many epochs have been begun in all."""
    process = start(path)
    try:
        while len(epochs(path)) < begun:
            assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def finish(path: Path) -> None:
    process = start(path)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 0, error.decode()


def trials(path: Path) -> dict[str, Any]:
    history = read_events(Layout(path, "p"))
    created = {e.trial_id: e for e in history if isinstance(e, events.TrialCreated)}
    ended = [e for e in history if isinstance(e, events.TrialEnded)]
    assert len({e.trial_id for e in ended}) == len(ended), "a trial ended twice"
    return {
        e.trial_id: (created[e.trial_id].budget, e.values, e.status, e.score, e.best_step)
        for e in ended
    }


def test_a_killed_training_goes_on_from_its_last_epoch(
    tmp_path: Path, figures: dict[str, Any]
) -> None:
    """No kill costs more than the epoch that it broke, and the models are as good as without."""
    rng = random.Random(KILLS)
    finish(tmp_path / "whole")
    for _ in range(KILLS):
        begun = len(epochs(tmp_path / "killed"))
        killed_after(tmp_path / "killed", begun + rng.randint(2, 9))
    finish(tmp_path / "killed")

    whole, killed = trials(tmp_path / "whole"), trials(tmp_path / "killed")
    figures["epochs"] = {
        "in one piece": len(epochs(tmp_path / "whole")),
        "killed": len(epochs(tmp_path / "killed")),
        "kills": KILLS,
    }
    assert figures["epochs"]["killed"] <= figures["epochs"]["in one piece"] + KILLS
    assert list(killed) == list(whole)
    for trial_id, (budget, values, status, score, best_step) in whole.items():
        assert killed[trial_id] == (
            budget,
            values,
            status,
            pytest.approx(score, rel=1e-4),
            best_step,
        )
