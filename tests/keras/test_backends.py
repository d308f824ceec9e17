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

SCRIPT = Path(__file__).with_name("search_a_model.py")


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_search_forks_its_workers_on_every_back_end(backend: str, tmp_path: Path) -> None:
    """Forks are trusted, trials complete, and the best model has the best score."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")

    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["True"]
    events = [json.loads(line) for line in (tmp_path / "p/events.log").read_text().splitlines()]
    names = [event["event"] for event in events]
    assert "nursery_failed" not in names
    assert names.count("trial_completed") == 3
