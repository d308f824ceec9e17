"""The zoo, weighed on each back end of Keras that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.keras, pytest.mark.timeout(600)]  # JAX compiles for minutes

SCRIPT = Path(__file__).with_name("weigh_zoo.py")


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_weighing_finds_what_a_real_build_allocates(backend: str) -> None:
    """Parameters, weights, gradients and slots are those of the same models built for real."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")

    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["built"]) >= 45
    assert told["built"] == told["weighed"]
