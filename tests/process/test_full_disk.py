"""A disk that is really full, in the middle of a search that really runs: nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
IN_A_DISK_OF_ITS_OWN = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
MOUNT = 'mount -t tmpfs -o size={} none "$1" && shift && exec "$@"'


def can_mount() -> bool:
    """Whether this user may mount a small disk, in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    tried = [*IN_A_DISK_OF_ITS_OWN, "mount -t tmpfs none /mnt"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


needs_a_disk = pytest.mark.skipif(
    not can_mount(), reason="a small disk needs unshare(1) and user namespaces"
)


def search(disk: Path, seconds: float, kind: str, size: str) -> dict[str, Any]:
    """Run the search on a small disk that is full for a while; return what it printed."""
    program = [sys.executable, str(HERE / "search_on_full_disk.py"), str(disk), str(seconds), kind]
    ended = subprocess.run(
        [*IN_A_DISK_OF_ITS_OWN, MOUNT.format(size), "sh", str(disk), *program],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 170,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


@needs_a_disk
@pytest.mark.parametrize("seconds", [3, pytest.param(600, marks=pytest.mark.torture)])
def test_a_search_outlasts_a_full_disk(tmp_path: Path, seconds: int) -> None:
    """Every trial ends with its first attempt, and the state of the subclass is the last one."""
    told = search(tmp_path, seconds, "plain", "3m")

    assert told["failures"] == []
    assert told["statuses"] == ["COMPLETED"] * 5
    assert told["attempts"] == [1] * 5
    assert told["state"] == {"ended": 5}
    assert {"disk_full", "disk_has_space"} <= set(told["events"])


@needs_a_disk
@pytest.mark.keras
@pytest.mark.parametrize("seconds", [2, pytest.param(600, marks=pytest.mark.torture)])
def test_a_training_waits_for_a_full_disk(tmp_path: Path, seconds: int) -> None:
    """Weights that find no space wait for it: every trial has those of its best epoch, and no failure."""
    told = search(tmp_path, seconds, "keras", "9m")

    assert told["failures"] == []
    assert told["statuses"] == ["COMPLETED"] * 5
    assert told["attempts"] == [1] * 5
    assert told["files"] == [["build_config.json", "checkpoint.weights.h5"]] * 5
    assert [[n for n in names if n.startswith(".")] for names in told["left"]] == [[]] * 5
    assert {"trial_waits", "trial_goes_on"} <= set(told["events"])
