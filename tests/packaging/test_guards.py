"""What every test is held to is really held: the guards of tests/conftest.py bite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

SINS = """
import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from aiotune._disk import sync_folder

kept = []


async def test_blocks_the_loop(tmp_path):
    sync_folder(tmp_path)


async def test_blocks_the_loop_outside_aiotune(tmp_path):
    (tmp_path / "file").write_text("")


@pytest.mark.virtual_time
async def test_waits_for_ever():
    await asyncio.Event().wait()


@pytest.mark.virtual_time
async def test_sleeps_for_a_day():
    await asyncio.sleep(86400)


def test_leaves_a_child_and_an_orphan():
    # Both end with this program, which alone can write to their pipe.
    reading, writing = os.pipe()
    kept.append(subprocess.Popen(["cat", "-", "child"], stdin=reading))
    subprocess.run(["sh", "-c", "exec 3<&0; cat - orphan <&3 &"], stdin=reading)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of tests that do what they must not."""
    folder = tmp_path_factory.mktemp("sins")
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "test_sins.py").write_text(SINS)
    options = [
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(folder),
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-rA", "--tb=line", str(folder)],
        cwd=folder,
        env={**os.environ, "COLUMNS": "400"},  # lines of the summary are cut to it
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_a_blocked_loop_fails_the_test(told: str) -> None:
    """What a sync begins with is found in aiotune's code, and only there."""
    assert re.search(
        r"^FAILED .*::test_blocks_the_loop\S* - .*Blocking call to os.open", told, re.MULTILINE
    )
    assert re.search(r"^PASSED .*::test_blocks_the_loop_outside_aiotune\S*$", told, re.MULTILINE)


def test_the_marker_chooses_virtual_time(told: str) -> None:
    """A day is over at once, and a hang is a failure with a name."""
    assert re.search(
        r"^FAILED .*::test_waits_for_ever\S* - .*Deadlock: Every task", told, re.MULTILINE
    )
    assert re.search(r"^PASSED .*::test_sleeps_for_a_day\S*$", told, re.MULTILINE)


def test_a_process_left_behind_fails_the_test(told: str) -> None:
    """The child and what has lost its parent are both found, and named."""
    left = re.search(r"^ERROR .*::test_leaves_a_child_and_an_orphan - .*", told, re.MULTILINE)

    assert left is not None
    assert "cat - child" in left[0]
    assert "cat - orphan" in left[0]
