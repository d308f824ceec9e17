"""KerasTuner's guides run with nothing changed but the import and ``asyncio.run``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.keras

HERE = Path(__file__).parent


def run_guide(name: str, cwd: Path, timeout: float = 150) -> str:
    done = subprocess.run(
        [sys.executable, str(HERE / "run_guide.py"), str(HERE / "guides" / name)],
        cwd=cwd,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return done.stdout


def events(project: Path) -> list[dict[str, object]]:
    lines = (project / "events.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_failed_trials_are_tolerated_and_retried(tmp_path: Path) -> None:
    """Twelve combinations, five too large: each of these fails four times, the rest is scored."""
    out = run_guide("failed_trials.py", tmp_path)

    retries = [e for e in events(tmp_path / "untitled_project") if e["event"] == "trial_retry"]
    too_large = len(set(re.findall(r"Model too large! It contains (\d+) params", out)))
    assert out.count("Score: ") >= 7
    assert len(retries) == 3 * 5
    assert all(e["error_type"] == "ValueError" for e in retries)
    assert too_large >= 1
    assert "Results summary" in out


def test_failed_trial_error_is_not_retried(tmp_path: Path) -> None:
    """The same trials marked by FailedTrialError fail once."""
    out = run_guide("mark_as_failed.py", tmp_path)

    kinds = [e["event"] for e in events(tmp_path / "untitled_project")]
    assert "trial_retry" not in kinds
    assert out.count("Score: ") >= 7


def test_fatal_error_ends_the_search(tmp_path: Path) -> None:
    """``except FatalError`` around search() catches what a trial raised."""
    assert "The search is terminated." in run_guide("terminate.py", tmp_path)


def test_hello_world(tmp_path: Path) -> None:
    """Space summary, search, best models, results summary and retraining all work."""
    out = run_guide("hello_world.py", tmp_path)

    assert "Default search space size: 5" in out
    assert "num_layers (Int)" in out
    assert out.count("Score: 0.") == 3
    checkpoints = list((tmp_path / "my_dir/helloworld").glob("trial_*/checkpoint.weights.h5"))
    assert len(checkpoints) == 3


def test_hyperparameters_of_fit_are_tuned(tmp_path: Path) -> None:
    """HyperModel.fit may ask for hyperparameters and read those of build."""
    run_guide("tune_training.py", tmp_path)

    assert (tmp_path / "my_dir/tune_hypermodel/trial_0").exists()


def test_objectives_of_every_kind(tmp_path: Path) -> None:
    """A built-in metric, a metric of the user's, a returned number and a returned dict."""
    out = run_guide("objectives.py", tmp_path)

    assert out.count("Results summary") == 4
    assert out.count("Score: ") == 12


def test_any_function_is_tuned_without_keras(tmp_path: Path) -> None:
    """Twenty trials of a function find a good x, and no process imports keras."""
    out = run_guide("tune_anything.py", tmp_path)

    assert abs(float(out.strip().splitlines()[-1])) < 0.5
    assert all(
        "keras" not in json.dumps(e.get("imported", {}))
        for e in events(tmp_path / "my_dir/tune_anything")
    )


def test_keras_code_is_kept_separate(tmp_path: Path) -> None:
    """run_trial may call existing Keras code, with the hyperparameters as arguments."""
    run_guide("keep_code_separate.py", tmp_path)

    assert len(list((tmp_path / "my_dir/keep_code_separate").glob("trial_*"))) == 3
