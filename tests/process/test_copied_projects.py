"""A project that is copied while its search runs: the copy is another project, and harms nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from aiotune.checkup import examine, mend
from aiotune.events import AttemptStarted
from aiotune.executors._sweep import marked_processes, sweep
from aiotune.store import Layout, read_events

SCRIPT = Path(__file__).with_name("search_to_copy.py")


def start(path: Path) -> subprocess.Popen[str]:
    os.mkfifo(path / "score")
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def copied(path: Path) -> Layout:
    shutil.copytree(path / "p", path / "copy")
    (path / "copy").chmod(0o700)
    return Layout(path, "copy")


def attempts(layout: Layout) -> list[str]:
    return [e.attempt_id for e in read_events(layout) if isinstance(e, AttemptStarted)]


def test_what_a_living_search_runs_is_no_leftover_of_a_copy(tmp_path: Path) -> None:
    """The doctor finds nothing wrong with the copy, a repair and a sweep end nothing, the trial goes on."""
    search = start(tmp_path)
    with (tmp_path / "score").open("w") as pipe:  # once the trial reads
        copy = copied(tmp_path)
        found = examine(copy)
        mend(copy)
        swept = sweep(attempts(copy))
        pipe.write("0.25")
    output, _ = search.communicate(timeout=60)

    assert [f.what for f in found.findings if f.about == "processes"] == []
    assert swept == 0
    assert output.split() == ["0.25"]


def test_what_a_killed_keeper_has_left_is_swept_from_a_copy_as_well(tmp_path: Path) -> None:
    """Nobody sees to it any more: the doctor names it, and a sweep ends it."""
    search = start(tmp_path)
    with (tmp_path / "score").open("w"):
        copy = copied(tmp_path)
        family = psutil.Process(search.pid).children(recursive=True)
        keepers = [p.pid for p in family if p.name().startswith("aiotune-keepe")]
        for pid in (search.pid, *keepers):
            os.kill(pid, signal.SIGSTOP)  # so that neither ends what the other leaves
        for pid in (*keepers, search.pid):
            os.kill(pid, signal.SIGKILL)
    search.communicate(timeout=60)
    (attempt,) = attempts(copy)
    found = [f.what for f in examine(copy).findings if f.about == "processes"]
    swept = sweep([attempt])

    assert found != []  # the daemon, and the worker until the kernel has ended it
    assert swept >= 1
    assert list(marked_processes([attempt])) == []
