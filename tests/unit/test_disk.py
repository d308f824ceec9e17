"""Files that are this user's alone, and what a full disk says."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiotune._disk import (
    PARTIAL,
    folder_within,
    free_bytes,
    is_full,
    read_private,
    replace_file,
    sha256_of,
    tells_full,
    write_private,
)


@pytest.fixture(autouse=True)
def no_mask() -> Iterator[None]:
    """Let every file be as open as it was made."""
    before = os.umask(0)
    yield
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_written_whole_and_is_ours_alone(tmp_path: Path) -> None:
    """Without any umask it is 0600, it replaces the older one, and nothing is left beside it."""
    path = tmp_path / "a.json"
    path.write_text("older")
    write_private(path, b"newer", durable=True)

    assert (read_private(path), mode(path), names(tmp_path)) == (b"newer", 0o600, ["a.json"])


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """What the link points at stays as it was."""
    victim, path = tmp_path / "thesis.tex", tmp_path / "a.json"
    victim.write_text("text")
    path.symlink_to(victim)
    write_private(path, b"mine")

    assert (victim.read_text(), path.read_text()) == ("text", "mine")
    assert not path.is_symlink()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, kind: str) -> None:
    """A link is an error, and a pipe does not make the reader wait for a writer."""
    path = tmp_path / "a.json"
    make: dict[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to("/etc/passwd"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    make[kind]()

    with pytest.raises(OSError, match=r"symbolic links|no plain file|directory"):
        read_private(path)


def test_a_file_that_a_function_writes_is_moved_to_its_place(tmp_path: Path) -> None:
    """The function gets another name in the same folder, at which there is a file of ours."""
    path, given = tmp_path / "trial_0" / "a.weights.h5", list[Path]()

    def write(partial: Path) -> None:
        given.append(partial)
        partial.write_text("weights")

    replace_file(path, write)

    assert (path.read_text(), mode(path), mode(path.parent)) == ("weights", 0o600, 0o700)
    assert given[0].name.startswith(PARTIAL)
    assert given[0].name.endswith(".a.weights.h5")


def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    """As after a disk that was full: the older one is whole."""
    path = tmp_path / "trial_0" / "a.h5"
    replace_file(path, lambda partial: partial.write_text("older"))

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        replace_file(path, fail)

    assert (path.read_text(), names(path.parent)) == ("older", ["a.h5"])


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    """Nothing is written where it leads, nor is anything made there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "trial_0").symlink_to(elsewhere)

    with pytest.raises(NotADirectoryError):
        replace_file(tmp_path / "p" / "trial_0" / "a.h5", lambda path: path.write_text("x"))
    with (
        pytest.raises(NotADirectoryError),
        folder_within(tmp_path / "p", tmp_path / "p" / "trial_0" / "attempt-01", make=True),
    ):
        pass

    assert names(elsewhere) == []


def test_a_root_may_be_reached_through_links(tmp_path: Path) -> None:
    """Users keep their runs on other disks by links of their own."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    with folder_within(tmp_path / "runs", tmp_path / "runs" / "a" / "b", make=True) as fd:
        found = str(Path(f"/proc/self/fd/{fd}").readlink())

    assert found == str(tmp_path / "disk" / "a" / "b")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EIO, "I/O error"), False),
        (RuntimeError("Can't decrement id ref count (errno = 28, error message = '...')"), True),
        (OSError("Unable to flush file's cached information (errno = 122, error message)"), True),
        (OSError("Unable to open file (errno = 2, error message = 'No such file')"), False),
        (ValueError("errno = 28"), False),
    ],
)
def test_a_full_disk_is_recognised_in_the_words_of_libraries(error: Exception, full: bool) -> None:
    """HDF5 hides the number in a text; what is no error of a file does not count."""
    assert tells_full(error) == full


def test_a_full_disk_behind_another_error_is_recognised() -> None:
    """Closing a file fails because writing it failed."""
    try:
        try:
            raise OSError(errno.ENOSPC, "full")
        finally:
            raise RuntimeError("cannot close")
    except RuntimeError as error:
        behind: BaseException = error

    assert (tells_full(behind), is_full(behind)) == (True, False)


def test_free_space_is_told_or_not_known(tmp_path: Path) -> None:
    """A folder that is gone has no known space."""
    assert free_bytes(tmp_path) > 0
    assert free_bytes(tmp_path / "gone") == -1


def test_a_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    """SHA-256 of "abc", as the standard gives it."""
    (tmp_path / "a").write_bytes(b"abc")

    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
