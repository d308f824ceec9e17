"""The project's lock: one holder, and free as soon as the holder is gone."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiotune.errors import ProjectError, ProjectLocked
from aiotune.store._lock import ProjectLock


@contextmanager
def _held(path: Path) -> Iterator[ProjectLock]:
    lock = ProjectLock(path)
    try:
        yield lock
    finally:
        lock.release()


def test_second_opener_is_told_who_holds_it(tmp_path: Path) -> None:
    """The refusal names the holder's pid, host and start, and what to do."""
    with _held(tmp_path / "LOCK"), pytest.raises(ProjectLocked) as caught:
        ProjectLock(tmp_path / "LOCK")

    expected = (
        rf"Another search holds the project {re.escape(str(tmp_path))} "
        rf"\(pid {os.getpid()} on {re.escape(socket.gethostname())}, "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)\. Wait for it, or choose another project_name\."
    )
    assert re.fullmatch(expected, str(caught.value))


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"{}", b'{"pid":"x","started":1,"host":""}'])
def test_holder_without_a_readable_name_is_still_the_holder(tmp_path: Path, text: bytes) -> None:
    """The file's text is for the message only: nonsense in it does not open the lock."""
    with _held(tmp_path / "LOCK"):
        (tmp_path / "LOCK").write_bytes(text)

        with pytest.raises(ProjectLocked, match="a process that has not written its name yet"):
            ProjectLock(tmp_path / "LOCK")


def test_released_lock_is_free(tmp_path: Path) -> None:
    """After the release, which may be repeated, another opener gets it."""
    first = ProjectLock(tmp_path / "LOCK")
    first.release()
    first.release()

    with _held(tmp_path / "LOCK"), pytest.raises(ProjectLocked):
        ProjectLock(tmp_path / "LOCK")


def test_text_of_a_dead_holder_is_replaced(tmp_path: Path) -> None:
    """What a longer-winded holder left in the file is gone."""
    (tmp_path / "LOCK").write_bytes(b"x" * 4_000)

    with _held(tmp_path / "LOCK"):
        text = (tmp_path / "LOCK").read_text()

    assert text.startswith(f'{{"pid": {os.getpid()}, "host": ')
    assert text.endswith("}")


def test_lock_file_is_private(tmp_path: Path) -> None:
    """Only the owner may open it, so nobody else can hold it."""
    with _held(tmp_path / "LOCK"):
        assert (tmp_path / "LOCK").stat().st_mode & 0o777 == 0o600


# From Python 3.12 on, forking beside a thread of another test is warned of.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A child that outlives the holder's release does not hold the lock in its stead."""
    lock = ProjectLock(tmp_path / "LOCK")
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b".")
        os.read(go[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        lock.release()

        with _held(tmp_path / "LOCK"):
            alive = os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.write(go[1], b".")
        os.waitpid(child, 0)
        for fd in (*ready, *go):
            os.close(fd)
    assert alive


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_does_not_free_the_lock(tmp_path: Path) -> None:
    """A child's end leaves the parent in possession."""
    with _held(tmp_path / "LOCK"):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

        with pytest.raises(ProjectLocked):
            ProjectLock(tmp_path / "LOCK")


def test_deleted_lock_file_is_made_anew(tmp_path: Path) -> None:
    """Deleting the file opens the door: the next opener holds a new file, which is locked in turn."""
    path = tmp_path / "LOCK"
    with _held(path):
        path.unlink()
        with _held(path), pytest.raises(ProjectLocked):
            ProjectLock(path)


def test_file_deleted_while_it_was_being_locked_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on a file that lost its name would keep nobody out, so it is taken again."""
    path = tmp_path / "LOCK"
    real = os.open
    opened: list[int] = []

    def opening(name: Path, flags: int, mode: int = 0o777) -> int:
        fd = real(name, flags, mode)
        opened.append(fd)
        if len(opened) == 1:
            path.unlink()
        return fd

    monkeypatch.setattr(os, "open", opening)
    with _held(path):
        monkeypatch.undo()
        with pytest.raises(ProjectLocked):
            ProjectLock(path)

    assert len(opened) == 2


def test_link_is_not_followed(tmp_path: Path) -> None:
    """A LOCK that points elsewhere is refused, and its target keeps its text."""
    target = tmp_path / "precious"
    target.write_text("text")
    (tmp_path / "LOCK").symlink_to(target)

    with pytest.raises(OSError, match="symbolic links"):
        ProjectLock(tmp_path / "LOCK")

    assert target.read_text() == "text"


def test_full_disk_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the holder's name cannot be written, the lock is let go with the error."""

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        ProjectLock(tmp_path / "LOCK")
    monkeypatch.undo()

    assert caught.value.errno == errno.ENOSPC
    with _held(tmp_path / "LOCK"):
        assert (tmp_path / "LOCK").read_text() != ""


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Lustre without its option, NFS without its service: that is the cause, not the right to write."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    before = set(Path("/proc/self/fd").iterdir())

    with pytest.raises(ProjectError, match=r"gives no locks.*Lustre.*NFS"):
        ProjectLock(tmp_path / "LOCK")

    assert set(Path("/proc/self/fd").iterdir()) == before
