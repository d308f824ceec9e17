"""What a container, or a job of a batch system, leaves to its processes; read from files made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiotune import _cgroups, _host

GIB = 1 << 30
OWN, OLD = "0::/\n", "4:memory:/\n1:cpu,cpuacct:/\n0::/\n"
JOB, OLD_JOB = "0::/slurm/job_7/step_0\n", "4:memory:/slurm/job_7/step_0\n0::/\n"


def _write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand for ``/sys/fs/cgroup`` on a host with 64 GiB free and 16 processors."""
    monkeypatch.setattr(_cgroups, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(_host, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(_cgroups, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    _write(tmp_path, meminfo=f"MemAvailable: {64 << 20} kB", membership=OWN)
    return tmp_path / "cgroup"


def test_without_limits_the_host_is_what_there_is(root: Path) -> None:
    """Also where a group says so in words, or by a number that none could reach."""
    _write(root, memory__max="max", memory__current="5", cpu__max="max 100000")
    _write(root / "memory", memory__limit_in_bytes=str((1 << 63) - 4096))
    _write(root / "memory", memory__usage_in_bytes="5")

    assert (_host.available_ram(), _host.cores()) == (64 * GIB, 16)


def test_files_that_the_kernel_has_cached_are_no_memory_in_use(root: Path) -> None:
    """Reading a data set fills a container to its limit; the kernel gives that back when it is needed."""
    _write(root, memory__max=str(16 * GIB), memory__current=str(16 * GIB - 5))
    cached = (
        f"anon {4 * GIB}\nactive_file {5 * GIB}\ninactive_file {6 * GIB}\nslab_reclaimable {GIB}"
    )
    _write(root, memory__stat=cached)

    assert _host.available_ram() == 12 * GIB + 5


def test_files_cached_by_an_older_kernel_are_none_either(root: Path) -> None:
    """It tells what a group itself holds apart from what those within it hold, too."""
    stat = f"active_file 0\ninactive_file 0\ntotal_active_file {GIB}\ntotal_inactive_file {2 * GIB}"
    _write(root / "memory", memory__limit_in_bytes=str(8 * GIB), memory__stat=stat)
    _write(root / "memory", memory__usage_in_bytes=str(7 * GIB))

    assert _host.available_ram() == 4 * GIB


@pytest.mark.parametrize("member", [JOB, OLD_JOB], ids=["new", "old"])
def test_a_job_is_bounded_by_the_groups_that_it_is_in(
    root: Path, tmp_path: Path, member: str
) -> None:
    """A batch system gives its jobs no container: their groups' files are where the host has them."""
    _write(tmp_path, membership=member)
    names = ("memory.max", "memory.current")
    old = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    folder = (root if member == JOB else root / "memory") / "slurm/job_7"
    for name, size in zip(names if member == JOB else old, (8 * GIB, 3 * GIB), strict=True):
        _write(folder, **{name: str(size)})
    _write(folder / "step_0", memory__max="max", memory__current="1")

    assert _host.available_ram() == 5 * GIB


def test_a_job_has_the_processors_of_its_quota(root: Path, tmp_path: Path) -> None:
    """The narrowest of the groups that it is in."""
    _write(tmp_path, membership=JOB)
    _write(root / "slurm", cpu__max="800000 100000")
    _write(root / "slurm/job_7", cpu__max="250000 100000")

    assert _host.cores() == 2
    _write(tmp_path, membership="1:cpu,cpuacct:/docker/12\n")
    _write(root / "cpu", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    assert _host.cores() == 4


def test_memory_beyond_which_the_kernel_slows_a_group_down_is_none(root: Path) -> None:
    """Trials in what lies between memory.high and memory.max would stand still for hours."""
    _write(root, memory__max=str(16 * GIB), memory__high=str(10 * GIB))
    _write(root, memory__current=str(3 * GIB))

    assert _host.available_ram() == 7 * GIB
    _write(root, memory__max="max")
    assert _host.available_ram() == 7 * GIB
