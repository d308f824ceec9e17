"""A user's own ``gpu.py`` or ``gpu/`` is the user's, in the program and in workers, however aiotune got there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
import gpu
import aiotune

class Own(aiotune.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        from gpu import WHOSE  # the worker's own import
        x = trial.hyperparameters.Float("x", 0.0, 1.0)
        return float(WHOSE == "the user's" == gpu.WHOSE) + 0.0 * x

tuner = Own(
    max_trials=1, seed=0, directory=sys.argv[1], project_name="p", devices=[],
    max_parallel_trials=1,
)
result = asyncio.run(tuner.search(verbose=0))
import aiotune_gpu
homes = [str(Path(m.__file__).resolve().parent) for m in (aiotune, aiotune_gpu)]
print(json.dumps([gpu.WHOSE, [t.score for t in result.trials], homes]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "tune.py").write_text(SCRIPT)
    return folder


def run(program: Path, *options: str, path: list[Path]) -> list[str]:
    """Run the program; return where both packages came from."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [sys.executable, *options, str(program / "tune.py"), str(program / "projects")],
        cwd=program,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whose, scores, homes = json.loads(done.stdout.splitlines()[-1])
    assert (whose, scores) == ("the user's", [1.0])
    found: list[str] = homes
    return found


def test_beside_an_editable_installation(program: Path) -> None:
    """A file gpu.py."""
    (program / "gpu.py").write_text('WHOSE = "the user\'s"\n')

    homes = run(program, path=[])

    assert homes == [str(ROOT / "aiotune"), str(ROOT / "gpu" / "aiotune_gpu")]


def test_beside_a_checkout_on_the_path(program: Path) -> None:
    """A folder gpu, and nothing installed: the repository's root is all that is on the path."""
    (program / "gpu").mkdir()
    (program / "gpu" / "__init__.py").write_text('WHOSE = "the user\'s"\n')

    # Without -S the interpreter would find what an editable installation has added.
    libraries = Path(sysconfig.get_paths()["purelib"])
    homes = run(program, "-S", path=[ROOT, libraries])

    assert homes == [str(ROOT / "aiotune"), str(ROOT / "gpu" / "aiotune_gpu")]


def test_beside_a_wheel(program: Path, tmp_path: Path) -> None:
    """What is installed has no package gpu at all."""
    (program / "gpu.py").write_text('WHOSE = "the user\'s"\n')
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)

    homes = run(program, path=[installed])

    assert homes == [str(installed / "aiotune"), str(installed / "aiotune_gpu")]
