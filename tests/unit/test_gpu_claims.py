"""What searches of one host let each other see of the devices that they hold."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiotune_gpu.claims import HostClaims, claims_directory

A, B = "GPU-a", "GPU-b"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "claims"


def told(claims: HostClaims) -> list[tuple[str, int]]:
    return [(claim.uuid, claim.bytes) for claim in claims.others()]


def planted(folder: Path, text: str, name: str = "claim-1-0123456789abcdef") -> Path:
    """Lay a file there, as anybody can."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def held(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def test_searches_see_each_other_and_not_themselves(folder: Path) -> None:
    """A claim is seen by the others until it is withdrawn, with its devices and bytes."""
    mine, other = HostClaims(folder), HostClaims(folder)

    assert mine.claim("0", [A, B], 5, ()) == ()
    assert told(other) == [(A, 5), (B, 5)]
    assert told(mine) == []
    mine.withdraw("0")
    mine.withdraw("0")
    assert told(other) == []
    assert list(folder.iterdir()) == []


def test_who_comes_second_chooses_again(folder: Path) -> None:
    """A claim that was not known when a device was chosen is told, and nothing is claimed."""
    first, second = HostClaims(folder), HostClaims(folder)
    first.claim("0", [A], 1, ())

    others = second.claim("0", [A, B], 1, ())

    assert [claim.uuid for claim in others] == [A]
    assert told(first) == []
    assert second.claim("0", [A, B], 1, {claim.name for claim in others}) == ()
    assert [uuid for uuid, _ in told(first)] == [A, B]
    assert second.claim("1", ["GPU-c"], 1, ()) == ()


def test_a_claim_ends_with_its_process(folder: Path) -> None:
    """Of a program that was killed a file is left; it counts no more, and is removed."""
    code = """
import os, signal, sys
from pathlib import Path
from aiotune_gpu.claims import HostClaims
claims = HostClaims(Path(sys.argv[1]))
claims.claim("0", ["GPU-a"], 7, ())
print(flush=True)
sys.stdin.read()
"""
    mine = HostClaims(folder)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        alive = told(mine)
        program.kill()
        program.wait()

    assert alive == [(A, 7)]
    assert len(list(folder.iterdir())) == 1
    assert told(mine) == []
    assert list(folder.iterdir()) == []


def test_a_forked_child_does_not_hold_its_parents_claims(folder: Path) -> None:
    """A lock lives as long as anybody has its file open; a child that lives on would keep it."""
    mine, other = HostClaims(folder), HostClaims(folder)
    mine.claim("0", [A], 1, ())
    ready, begun = os.pipe()
    wait, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(begun, b".")
        os.read(wait, 1)
        os._exit(0)
    os.read(ready, 1)

    before = told(other)
    mine.let_go()  # what the kernel does when the parent is killed
    after = told(other)

    os.write(end, b".")
    os.waitpid(pid, 0)
    for fd in (ready, begun, wait, end):
        os.close(fd)
    assert (before, after) == ([(A, 1)], [])


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_other_users_can_read_and_add_whatever_the_umask(folder: Path, umask: int) -> None:
    """The directory is like /tmp, and files can be read by everybody and written by their maker."""
    before = os.umask(umask)
    try:
        HostClaims(folder).claim("0", [A], 1, ())
    finally:
        os.umask(before)

    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert json.loads(file.read_text()) == {"devices": [A], "bytes": 1, "pid": os.getpid()}


def test_nothing_that_another_user_lays_there_is_followed_or_waited_for(
    folder: Path, tmp_path: Path
) -> None:
    """Links, pipes, directories and strange names are left out, and left alone."""
    folder.mkdir()
    target = tmp_path / "precious"
    target.write_text(json.dumps({"devices": [A], "bytes": 1}))
    (folder / "claim-1-0000000000000001").symlink_to(target)
    os.mkfifo(folder / "claim-1-0000000000000002")
    (folder / "claim-1-0000000000000003").mkdir()
    fd = held(planted(folder, json.dumps({"devices": [A], "bytes": 1}), "claim-x"))

    assert told(HostClaims(folder)) == []
    assert len(list(folder.iterdir())) == 4
    os.close(fd)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 4_000,
        '{"devices": "GPU-a", "bytes": 1}',
        '{"devices": [1, null], "bytes": 1}',
        '{"devices": ["GPU-a"], "bytes": -1}',
        '{"devices": ["GPU-a"], "bytes": 1e9}',
        '{"devices": ["GPU-a"], "bytes": 123456789012345678901234567890}',
        '{"devices": ["GPU-a"], "bytes": 1}' + " " * 5_000,
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_claim_claims_nothing(folder: Path, text: str) -> None:
    """A file with anything else in it is left out, however it is meant."""
    fd = held(planted(folder, text))

    assert told(HostClaims(folder)) == []
    os.close(fd)


def test_only_so_many_files_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who fills the directory cannot keep others busy."""
    monkeypatch.setattr("aiotune_gpu.claims._MOST_ENTRIES", 2)
    others = HostClaims(folder)
    for number in range(5):
        others.claim(str(number), [A], 1, ())

    assert len(told(HostClaims(folder))) == 2


def test_a_file_of_another_user_is_not_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of one whose locks cannot be seen here, and is not ours."""
    path = planted(folder, json.dumps({"devices": [A], "bytes": 1}))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    assert told(HostClaims(folder)) == []
    assert path.exists()


def test_who_keeps_the_turn_for_ever_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half a second a claim is made without it."""
    monkeypatch.setattr("aiotune_gpu.claims._PAUSE", 0.0)
    folder.mkdir()
    fd = held(folder)

    mine = HostClaims(folder)
    assert mine.claim("0", [A], 1, ()) == ()
    assert told(HostClaims(folder)) == [(A, 1)]
    os.close(fd)


@pytest.mark.parametrize("kind", ["file", "link", "nowhere"])
def test_a_directory_that_cannot_be_used_is_said_and_fails_nothing(
    tmp_path: Path, kind: str
) -> None:
    """A file or a link in its place, or no place for it: nothing is claimed, and the reason is there."""
    folder = tmp_path / "claims"
    if kind == "file":
        folder.write_text("")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder = tmp_path / "missing" / "claims"
    claims = HostClaims(folder)

    assert claims.claim("0", [A], 1, ()) == ()
    assert claims.problem is not None
    assert str(folder) in claims.problem
    assert claims.others() == ()
    claims.close()
    assert list((tmp_path / "elsewhere").iterdir() if kind == "link" else ()) == []


def test_a_full_disk_is_a_problem_and_no_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind, and when there is space again claims are made."""

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    claims, other = HostClaims(folder), HostClaims(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert claims.claim("0", [A], 1, ()) == ()
    assert claims.problem == f"{folder}: No space left on device"
    assert list(folder.iterdir()) == []

    claims.claim("1", [A], 1, ())
    assert claims.problem is None
    assert told(other) == [(A, 1)]


def test_a_directory_that_was_cleaned_away_is_made_again(folder: Path) -> None:
    """The next claim is seen; what was lost fails nothing."""
    mine, other = HostClaims(folder), HostClaims(folder)
    mine.claim("0", [A], 1, ())
    next(folder.iterdir()).unlink()
    folder.rmdir()

    mine.withdraw("0")
    mine.claim("1", [B], 2, ())

    assert told(other) == [(B, 2)]


def test_a_claim_is_kept_young(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim of a week is touched now and then, since some hosts remove what is old."""
    mine = HostClaims(folder)
    mine.claim("0", [A], 1, ())
    (file,) = folder.iterdir()
    os.utime(file, (1.0, 1.0))
    mine.others()
    assert file.stat().st_mtime == 1.0

    monkeypatch.setattr("aiotune_gpu.claims._AFRESH", 0.0)
    mine.others()
    assert file.stat().st_mtime > 1.0


def test_the_directory_can_be_named_or_turned_off() -> None:
    """One for all users of the host unless a variable says otherwise."""
    assert claims_directory({}) == Path("/tmp/aiotune-claims")
    assert claims_directory({"AIOTUNE_CLAIMS": "/mnt/x"}) == Path("/mnt/x")
    assert claims_directory({"AIOTUNE_CLAIMS": ""}) is None
