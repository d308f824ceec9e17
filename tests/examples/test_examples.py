"""Every example runs by itself and shows what its first lines promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"


def run(script: Path, cwd: Path, timeout: float = 60) -> str:
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=cwd,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("tune_anything", r"20 trials \(20 completed\)"),
        (
            "failures",
            r"trying again.*the search was ended: the data set is broken.*will never work",
        ),
        ("resume", r"interrupted; now the same program again.*Continuing the project.*6 completed"),
        ("sklearn_search", r"12 trials \(12 completed\).*no trial saw: 0\.9"),
        ("ask_tell", r"\d\d 0\.\d+ \{'x': "),
        ("inside_a_server", r"the heartbeat was never more than \d+ ms late"),
    ],
)
def test_example_shows_what_it_promises(name: str, shows: str, tmp_path: Path) -> None:
    """The example ends well, and its output has the thing that it is about."""
    out = run(EXAMPLES / f"{name}.py", tmp_path)

    assert re.search(shows, out, re.DOTALL | re.IGNORECASE), out


@pytest.mark.keras
@pytest.mark.timeout(600)  # JAX compiles each of eight models
def test_quickstart_finds_an_accurate_model(tmp_path: Path) -> None:
    """Real digits, eight trials, over nine in ten right on digits that no trial saw."""
    out = run(EXAMPLES / "quickstart.py", tmp_path, timeout=500)

    accuracy = float(out.strip().rsplit(" ", 1)[1])
    assert accuracy > 0.9
    assert "8 trials in" in out


def test_every_example_is_listed_and_tested() -> None:
    """The table of examples names each file."""
    names = {path.name for path in EXAMPLES.glob("*.py")}
    table = (EXAMPLES / "README.md").read_text()

    assert names == set(re.findall(r"`(\w+\.py)`", table))


def test_the_readmes_example_is_valid_python() -> None:
    """The code in the README compiles."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    assert len(blocks) >= 2
    for block in blocks:
        compile(block, "README.md", "exec")
