"""A program that may open few files runs fewer trials at a time, and loses neither trials nor descriptors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, os, resource, sys
import aiotune
from aiotune import _equipment

class Search(aiotune.RandomSearch):
    def run_trial(self, trial, **_):
        return trial.hyperparameters.Float("x", 0.0, 1.0)

def descriptors():
    return len(os.listdir("/proc/self/fd"))

async def main():
    if "unbounded" in sys.argv:  # as if the program itself had opened the others meanwhile
        _equipment.within_open_files = lambda found: found
    tuner = Search(max_trials=12, directory=sys.argv[1], project_name="p", max_parallel_trials=12)
    before = descriptors()
    result = await tuner.search(verbose=2)
    print(len(result.trials), descriptors() - before)

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main())
"""


@pytest.mark.parametrize("words", [[], ["unbounded"]], ids=["bounded", "unbounded"])
def test_few_open_files_are_enough(tmp_path: Path, words: list[str]) -> None:
    """All trials complete, and every descriptor is given back, of workers that were given up as well."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), *words]

    ended = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)

    assert (ended.stderr, ended.returncode) == ("", 0)
    said, numbers = ended.stdout, ended.stdout.splitlines()[-1]
    assert numbers == "12 0"
    assert ("Too many open files" in said) == bool(words)
    assert ("no more than 64 files open" in said) == (not words)
