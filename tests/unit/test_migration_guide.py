"""The programs in the guide for those who come from KerasTuner run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs/migrating.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def run(program: str, directory: Path) -> list[str]:
    """Run a program as a script in a directory that holds an old project; return what it prints."""
    shutil.copytree(ROOT / "tests/data/kerastuner_failures", directory / "my_dir/untitled_project")
    script = directory / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def program_with(words: str) -> str:
    (found,) = [str(program) for program in PROGRAMS if words in program]
    return found


def test_a_program_whose_import_was_changed(tmp_path: Path) -> None:
    """It searches, summarises and tells the best values twice."""
    lines = run(program_with("class Parabola"), tmp_path)

    assert "Results summary" in lines
    values, again = re.fullmatch(r"{'x': (\S+)} (\S+)", lines[-1]).groups()  # type: ignore[union-attr]
    assert values == again


def test_an_oracle_of_ones_own(tmp_path: Path) -> None:
    """KerasTuner's form of proposals, under a lock."""
    lines = run(program_with("class Halves"), tmp_path)

    ended = [line for line in lines if line.endswith("have ended")]
    assert ended == [f"{n} of 3 have ended" for n in (1, 2, 3)]
    assert lines[-1] == "0.25"


def test_a_program_that_takes_its_old_project_along(tmp_path: Path) -> None:
    """Seven trials were there, two are new."""
    lines = run(program_with("from_keras_tuner"), tmp_path)

    assert any(line.startswith("9 trials (6 completed, 3 failed)") for line in lines)


@pytest.mark.parametrize("command", re.findall(r"^```\naiotune (.*)\n```$", GUIDE, re.MULTILINE))
def test_the_commands_of_the_guide(tmp_path: Path, command: str) -> None:
    """They do what the text around them says."""
    shutil.copytree(ROOT / "tests/data/kerastuner_random", tmp_path / "my_dir/untitled_project")

    done = subprocess.run(
        [sys.executable, "-m", "aiotune", *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
    )

    assert done.returncode == 0
    assert (tmp_path / "runs/mine/journal").is_dir()
