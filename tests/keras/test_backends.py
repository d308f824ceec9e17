"""The same search on each back end of Keras that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.keras

HERE = Path(__file__).parent


def events_of(script: str, backend: str, folder: Path) -> list[str]:
    """Run a search on a back end, see that it says it went well, and return its events."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), str(folder)],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["True"]
    lines = (folder / "p/events.log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_search_forks_its_workers_on_every_back_end(backend: str, tmp_path: Path) -> None:
    """Forks are trusted, trials complete, and the best model has the best score."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")

    names = events_of("search_a_model.py", backend, tmp_path)

    assert "nursery_failed" not in names
    assert names.count("trial_completed") == 3


def test_a_search_runs_on_a_back_end_that_only_predicts(tmp_path: Path) -> None:
    """NumPy's is none that anything here knows: forks are trusted, models weighed, trials complete."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("Keras on NumPy takes some functions from JAX, which is not installed")

    names = events_of("search_by_predicting.py", "numpy", tmp_path)

    assert "nursery_failed" not in names
    assert names.count("trial_weighed") == names.count("trial_completed") == 2
