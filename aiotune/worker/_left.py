"""What a trial leaves for others to load, and whether it still is what the trial had left."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from aiotune._disk import sha256_of
from aiotune.errors import CheckpointDamaged

__all__ = ("CHECKPOINT", "RECIPE", "check_left", "is_left", "left_files", "state_name")

CHECKPOINT = "checkpoint.weights.h5"
RECIPE = "build_config.json"
_LEFT = re.compile(r"checkpoint\.weights\.h5|build_config\.json|state-\d+\.weights\.h5")


def state_name(execution: int) -> str:
    """Return the name of what another trial may go on from."""
    return f"state-{execution}.weights.h5"


def is_left(name: str) -> bool:
    """Whether a file of this name is one that trials leave for others; a journal may say anything."""
    return _LEFT.fullmatch(name) is not None


def left_files(trial_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of what a trial has left, by name, once all of it is on the disk.

    The record of the trial's end is synced; weights that a power cut can still
    take back would be missing beside it.
    """
    try:
        names = os.listdir(trial_dir)  # noqa: PTH208 - for each attempt, and most have nothing
    except OSError:
        return {}
    found = {}
    for name in sorted(filter(_LEFT.fullmatch, names)):
        path = trial_dir / name
        _sync(path)
        found[name] = sha256_of(path)
    return found


def check_left(trial_dir: Path, name: str, files: Mapping[str, str]) -> None:
    """See that a file is the one that its trial has left.

    Args:
        trial_dir: The trial's directory.
        name: The file's.
        files: The recorded checksums; a file that is not among them is not looked at, as in
            projects of before they were recorded.

    Raises:
        CheckpointDamaged: It is another.
        OSError: It is missing, or cannot be read.
    """
    expected = files.get(name)
    if expected is None:
        return
    found = sha256_of(trial_dir / name)
    if found == expected:
        return
    raise CheckpointDamaged(
        f"{trial_dir / name} is not what its trial has left: its SHA-256 is {found[:16]}..., and the journal "
        f"has {expected[:16]}.... It was damaged or replaced since, so it is not loaded.",
        hint="Restore the file from a copy, or train the configuration again: "
        "tuner.hypermodel.build(trial.hyperparameters).",
        path=str(trial_dir / name),
        expected=expected,
        found=found,
    )


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
