"""The two commands install a back end of Keras that there is for this Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
# Stands in for Python: makes a "virtual environment" of itself, and has TensorFlow or not.
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip index versions tensorflow-cpu") exit ${HAS_NO_TENSORFLOW:-0} ;;
esac
echo "$*" >> "$ASKED"
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(copy: Path, target: str, **variables: str) -> tuple[str, str]:
    """Make a target; return what was printed, and what Python was asked to do this time."""
    asked = copy / "asked"
    asked.unlink(missing_ok=True)
    kept = {k: v for k, v in os.environ.items() if k not in {"KERAS_BACKEND", "MAKEFLAGS", "VENV"}}
    done = subprocess.run(
        ["make", target, "PYTHON=./python"],
        cwd=copy,
        env={**kept, "ASKED": str(asked), **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout, asked.read_text()


@pytest.mark.parametrize("target", ["quickstart", "test"])
@pytest.mark.parametrize(
    ("given", "name", "package"),
    [
        ({}, "tensorflow", "tensorflow-cpu>="),
        ({"HAS_NO_TENSORFLOW": "1"}, "jax", "jax>="),
        ({"KERAS_BACKEND": "torch"}, "torch", "torch>="),
        ({"KERAS_BACKEND": "openvino"}, "openvino", "openvino"),
    ],
    ids=["as a rule", "no TensorFlow", "torch", "another"],
)
def test_a_back_end_that_there_is_is_installed_and_named(
    copy: Path, target: str, given: dict[str, str], name: str, package: str
) -> None:
    """TensorFlow where it has a release for this Python, else JAX, or what KERAS_BACKEND says."""
    printed, asked = make(copy, target, **given)

    assert f"Keras runs on {name}," in printed
    assert f" {package}" in asked
    assert f"KERAS_BACKEND={name} " in printed


def test_the_choice_stays_and_another_one_is_installed(copy: Path) -> None:
    """Nothing is asked or installed again, until another back end is wanted."""
    make(copy, "test", HAS_NO_TENSORFLOW="1")

    printed, asked = make(copy, "test")
    assert "Keras runs on jax," in printed
    assert "pip" not in asked

    printed, asked = make(copy, "test", KERAS_BACKEND="torch")
    assert "Keras runs on torch," in printed
    assert " torch>=" in asked


def test_tests_run_on_each_interpreter_that_is_named(copy: Path) -> None:
    """Each has a virtual environment of its own, named by its version."""
    python = (copy / "python").read_text()
    versioned = python.replace("esac", '  "-c "*) echo "${0##*-}"; exit ;;\nesac')
    for version in ("3.98", "3.99"):
        path = copy / f"python-{version}"
        path.write_text(versioned)
        path.chmod(0o755)

    _, asked = make(copy, "pythons", PYTHONS="./python-3.98 ./python-3.99", TESTS="tests/unit")

    assert asked.count("-m pytest tests/unit") == 2
    assert (copy / ".venv-3.98/.dev").exists()
    assert (copy / ".venv-3.99/.dev").exists()
