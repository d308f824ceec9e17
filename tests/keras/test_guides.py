"""KerasTuner's guides run with nothing changed but the import and ``asyncio.run``."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.keras

HERE = Path(__file__).parent


def run_guide(name: str, cwd: Path, *arguments: str, backend: str | None = None) -> str:
    chosen = {} if backend is None else {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, str(HERE / "run_guide.py"), str(HERE / "guides" / name), *arguments],
        cwd=cwd,
        env={**os.environ, **chosen, "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
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


def outputs(project: Path) -> str:
    """Return what the workers of a project printed."""
    return "".join(
        path.read_text() for path in sorted(project.glob("trial_*/attempt-*/output.log"))
    )


@pytest.mark.tensorflow
def test_keras_from_tensorflow(tmp_path: Path) -> None:
    """tf.keras travels to workers, and a metric of TensorFlow's operations can be the objective."""
    out = run_guide("getting_started_tf.py", tmp_path)

    assert "Total params" in out
    assert 'Objective(name="val_custom_metric", direction="min")' in out
    assert out.count("Score: ") == 2


def test_a_tuner_of_ones_own(tmp_path: Path) -> None:
    """run_trial, save_model, load_model, hooks and state of a subclass, over two programs' runs."""
    out = run_guide("base_tuner.py", tmp_path)

    x = float(re.findall(r"x is (\S+)", out)[0])
    assert (x + 1) ** 2 < 0.1
    assert (out.count("search begins"), out.count("search ends")) == (2, 2)
    assert re.search(r"slope is 2\.99\d+ after 3 trials", out)
    assert len(list((tmp_path / "linear").glob("trial_*/line.json"))) == 3


@pytest.mark.tensorflow
def test_a_training_loop_of_ones_own(tmp_path: Path) -> None:
    """tf.data as a function, GradientTape, hooks, kept weights; and a strategy in each worker."""
    out = run_guide("custom_loop.py", tmp_path)

    said = outputs(tmp_path / "custom_loop")
    assert "the kept model's error: True" in out
    assert len(re.findall(r"trial \d epoch [01] \d", said)) == 3 * 2
    assert "in a strategy: True" in outputs(tmp_path / "distribute")


@pytest.mark.tensorflow  # which writes what TensorBoard shows
def test_callbacks_and_overrides(tmp_path: Path) -> None:
    """Copies of callbacks, a log for TensorBoard by trial and execution, the tuner's own compile()."""
    out = run_guide("callbacks.py", tmp_path)

    said = outputs(tmp_path / "callbacks")
    assert said.count("this copy has seen 1 epochs") == 2 * 2
    assert "this copy has seen 3 epochs" not in said
    folders = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("logs/*/*")}
    assert folders == {f"logs/000{t}/execution{e}" for t in (0, 1) for e in (0, 1)}
    assert "Trial 0002 was rejected with units=4096: OversizedModelError" in out
    assert "SGD mse" in out


def test_a_ready_made_application(tmp_path: Path) -> None:
    """A ResNet of the tunable applications is built, trained and scored."""
    out = run_guide("applications.py", tmp_path)

    assert "conv4_depth: 6" in out
    assert out.count("Score: ") == 1


def test_a_layer_size_below_zero(tmp_path: Path) -> None:
    """Two of five trials have one: each is told once, with its values, and the others are scored."""
    out = run_guide("runtime_layer_size.py", tmp_path)

    told = re.findall(r"Trial (\d) failed with units=\d+, units_2=(-?\d+): ValueError", out)
    assert sorted(told) == [("0", "-5"), ("3", "0")]
    assert out.count("Score: ") == 3


@pytest.mark.tensorflow  # on JAX the same losses stay finite
def test_learning_rates_that_diverge(tmp_path: Path) -> None:
    """Every rate is tried once; those whose loss is no number are told, with the rate."""
    out = run_guide("runtime_learning_rate.py", tmp_path)

    diverged = re.findall(r"not finite from epoch \d: .*loss with learning_rate=(\S+)", out)
    assert "10.0" in diverged
    assert len(diverged) == len(set(diverged))
    assert out.count("Score: ") == 4


def test_models_too_large_for_the_host(tmp_path: Path) -> None:
    """Where 150 MB are free ten layers are rejected, told with numbers, and another trial comes up."""
    out = run_guide("runtime_resources.py", tmp_path, "150000000")

    told = re.findall(r"Trial (\d+) was rejected with num_layers=(\d+), .*at least [\d.]+ GiB", out)
    assert told == [("0001", "10")]
    assert out.count("Score: ") == 2


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("failed_trials.py", 7),
        ("objectives.py", 12),
        ("base_tuner.py", 2),
        ("runtime_layer_size.py", 3),
    ],
)
def test_guides_of_other_back_ends(name: str, scores: int, backend: str, tmp_path: Path) -> None:
    """Where another back end is installed, the same scripts run on it."""
    if backend == os.environ.get("KERAS_BACKEND"):
        pytest.skip("all guides run on it here")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; with an interpreter that has it, run this file")

    out = run_guide(name, tmp_path, backend=backend)

    assert out.count("Score: ") == scores
