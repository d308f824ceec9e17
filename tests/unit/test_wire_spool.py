"""Results on disk."""

from __future__ import annotations

import math
import random
from pathlib import Path

import msgspec
import pytest

from aiotune.wire import Done, read_result, write_result

_DONE = Done(
    metrics={"val_loss": 0.1 + 0.2, "acc": 1.0},
    best_step=4,
    executions=[{"val_loss": 0.3}],
    values={"units": 32, "act": "relu", "bias": True, "lr": 1e-3},
    entries=[{"class_name": "Int", "config": {"name": "units"}}],
    peak_host_bytes=1 << 30,
)


def test_result_survives_the_disk(tmp_path: Path) -> None:
    """What was written is read, to the last bit, and nothing else is left."""
    path = tmp_path / "result.json"

    write_result(path, _DONE)

    assert read_result(path) == _DONE
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_non_finite_metrics_survive(tmp_path: Path) -> None:
    """NaN and infinities are kept, although JSON has no word for them."""
    path = tmp_path / "result.json"
    metrics = {"a": math.nan, "b": math.inf, "c": -math.inf}

    write_result(path, Done(metrics=metrics, best_step=0, executions=[], values={}, entries=[]))
    found = read_result(path)

    assert found is not None
    assert math.isnan(found.metrics["a"])
    assert (found.metrics["b"], found.metrics["c"]) == (math.inf, -math.inf)


def test_missing_result_is_none(tmp_path: Path) -> None:
    """An attempt that left nothing has no result."""
    assert read_result(tmp_path / "result.json") is None


def test_second_result_replaces_the_first(tmp_path: Path) -> None:
    """Writing again leaves the newer result."""
    path = tmp_path / "result.json"
    later = Done(metrics={"a": 2.0}, best_step=1, executions=[], values={}, entries=[])

    write_result(path, _DONE)
    write_result(path, later)

    assert read_result(path) == later


def test_cut_result_is_put_aside(tmp_path: Path) -> None:
    """A file cut at any byte but the last is no result; it is kept under another name."""
    path = tmp_path / "result.json"
    write_result(path, _DONE)
    whole = path.read_bytes()

    for end in range(len(whole) - 1):
        path.write_bytes(whole[:end])
        assert read_result(path) is None
        assert not path.exists()

    assert (tmp_path / "result.json.damaged").read_bytes() == whole[: len(whole) - 2]


def test_flipped_bits_never_give_another_result(tmp_path: Path) -> None:
    """Damage is either harmless or detected, never another result."""
    path = tmp_path / "result.json"
    write_result(path, _DONE)
    whole = path.read_bytes()
    draw = random.Random(0)

    for _ in range(300):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        assert read_result(path) in (None, _DONE)


def test_sound_line_that_is_no_result_is_put_aside(tmp_path: Path) -> None:
    """A right checksum does not make other data a result."""
    path = tmp_path / "result.json"
    path.write_bytes(b"a3a6bf43 {}")

    assert read_result(path) is None


def test_unwritable_directory_raises(tmp_path: Path) -> None:
    """A result that cannot be kept is an error of the writer."""
    with pytest.raises(FileNotFoundError):
        write_result(tmp_path / "gone" / "result.json", _DONE)


def test_the_result_of_another_attempt_is_not_taken(tmp_path: Path) -> None:
    """A file that was copied from another attempt is moved aside; one that says nothing is believed."""
    path = tmp_path / "attempt-01" / "result.json"
    path.parent.mkdir()
    write_result(path, msgspec.structs.replace(_DONE, attempt_id="0-01-aa"))

    assert read_result(path, "0-01-aa") is not None
    assert read_result(path, "7-02-bb") is None
    assert path.with_name("result.json.damaged").exists()
    write_result(path, _DONE)
    assert read_result(path, "7-02-bb") == _DONE
