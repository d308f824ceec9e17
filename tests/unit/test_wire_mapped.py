"""Arrays that are mapped from a file travel as the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiotune.wire import Payload, load, pack

_LENGTH = 3 << 17  # elements; some MiB


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file of numbers, behind a head of 12 bytes."""
    path = tmp_path / "numbers"
    path.write_bytes(bytes(12) + np.arange(_LENGTH, dtype="<i8").tobytes())
    return path


def _map(file: Path, mode: Any = "r") -> Any:
    return np.memmap(file, dtype="<i8", mode=mode, offset=12)


def _sent(array: Any) -> tuple[Any, int]:
    packed = pack(Payload(None, (array,)))
    try:
        return load(packed.fd).args[0], packed.size
    finally:
        packed.close()


VIEWS = {
    "whole": np.s_[:],
    "a part": np.s_[1000:200_000],
    "backwards": np.s_[::-3],
    "one element": np.s_[70_000:70_001],
    "none": np.s_[5:5],
}


@pytest.mark.parametrize("part", VIEWS.values(), ids=VIEWS)
def test_a_mapped_array_is_not_copied(file: Path, part: Any) -> None:
    """Whichever part of the file it is, however large."""
    array = _map(file)[part]

    received, size = _sent(array)

    assert size < 64 * 1024
    assert received.dtype == array.dtype
    assert np.array_equal(received, array)
    assert not received.flags.writeable


def test_a_table_in_columns_is_not_copied(file: Path) -> None:
    """Nor a view that is not contiguous."""
    array = _map(file).reshape(3, -1).T[5:, 1:]

    received, size = _sent(array)

    assert size < 64 * 1024
    assert np.array_equal(received, array)


def test_what_a_worker_writes_stays_its_own(file: Path) -> None:
    """As of any other array that it is given; the program's own changes it sees."""
    array = _map(file, "r+")
    array[7] = 70

    received, size = _sent(array)
    assert (size < 64 * 1024, received[7]) == (True, 70)
    received[7] = -1

    assert (array[7], _map(file)[7]) == (70, 70)


def test_private_changes_travel(file: Path) -> None:
    """An array of mode "c" is what it is in the program, not what its file is."""
    array = _map(file, "c")
    array[7] = 70

    received, size = _sent(array)

    assert size > array.nbytes
    assert np.array_equal(received, array)
    assert received.base is not None  # a part of the region that all workers share


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "removed"])
def test_a_file_that_has_gone_is_no_matter(file: Path, *, replaced: bool) -> None:
    """The program still has what it had mapped, so its trials have that, too."""
    array = _map(file)
    file.unlink()
    if replaced:
        file.write_bytes(bytes(12 + 8 * _LENGTH))

    received, _ = _sent(array)

    assert np.array_equal(received, array)
    assert received[-1] == _LENGTH - 1
