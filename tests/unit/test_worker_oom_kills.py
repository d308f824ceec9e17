"""Whose kills for want of memory are counted; read from files made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiotune import _cgroups
from aiotune.worker import _oom_kills

OWN = "0::/\n"
JOB, OLD_JOB = "0::/slurm/job_7/step_0\n", "4:memory:/slurm/job_7/step_0\n0::/\n"


def _write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand for ``/sys/fs/cgroup``, with a host of which nothing is known."""
    monkeypatch.setattr(_cgroups, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(_cgroups, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(_oom_kills, "_VMSTAT", tmp_path / "vmstat")
    _write(tmp_path, membership=OWN)
    return tmp_path / "cgroup"


@pytest.mark.parametrize("member", [JOB, OLD_JOB], ids=["new", "old"])
def test_a_kill_elsewhere_on_the_host_is_not_ours(root: Path, tmp_path: Path, member: str) -> None:
    """Only what the kernel killed in the program's own control group counts."""
    _write(tmp_path, membership=member, vmstat="oom_kill 3")
    new = member == JOB
    folder = (root if new else root / "memory") / "slurm/job_7/step_0"
    name = "memory.events" if new else "memory.oom_control"
    _write(folder, **{name: "oom 4\noom_kill 4\noom_group_kill 0"})
    _write(folder.parent, **{name: "oom_kill 40"})
    kills = _oom_kills.OomKills()

    _write(tmp_path, vmstat="oom_kill 4")
    _write(folder.parent, **{name: "oom_kill 41"})
    assert kills.so_far() == 0
    _write(folder, **{name: "oom 5\noom_kill 5\noom_group_kill 0"})
    assert kills.so_far() == 1


@pytest.mark.usefixtures("root")
def test_without_a_group_that_counts_the_host_does(tmp_path: Path) -> None:
    """On a desktop without control groups, and where nothing can be read, that is all there is."""
    assert _oom_kills.OomKills().so_far() == 0
    _write(tmp_path, vmstat="nr_free_pages 5\noom_kill 3")
    kills = _oom_kills.OomKills()
    _write(tmp_path, vmstat="nr_free_pages 5\noom_kill 5")

    assert kills.so_far() == 2


def test_kills_of_an_hour_ago_do_not_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sibling that was killed long before says nothing of the end of this one; one just before may."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    _write(root, memory__events="oom_kill 0")
    kills = _oom_kills.OomKills()
    _write(root, memory__events="oom_kill 1")
    kills.look()
    assert kills.so_far() == 1
    for _ in range(2):
        now[0] += 31
        kills.look()

    assert kills.so_far() == 0
