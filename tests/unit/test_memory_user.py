"""What was learned of memory, kept as plain data and as the text of a user's file."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from aiotune.errors import ConfigurationError
from aiotune.memory import Calibration, CalibrationKey, decode_calibration, encode_calibration

GIB = 1 << 30


def learned() -> Calibration:
    """Return a calibration that knows a little of everything."""
    calibration = Calibration()
    key = CalibrationKey("a/ü", "torch", "NVIDIA H200", "bfloat16")
    for peak in (3, 4, 5):
        calibration.observe(key, predicted=7 * GIB, peak=peak * GIB, context=GIB)
    calibration.observe(key, predicted=GIB, peak=3 * GIB, context=0, censored=True)
    calibration.observe_context("torch", "NVIDIA H200", 423 << 20)
    return calibration


def test_a_file_brings_back_what_was_written() -> None:
    """Every ratio comes back to the last bit."""
    calibration = learned()

    assert calibration.to_dicts() == decode_calibration(encode_calibration(calibration)).to_dicts()


def test_the_file_is_json_in_lines() -> None:
    """Who looks into it can read it, and a version control system can compare it."""
    text = encode_calibration(learned()).decode()

    assert learned().to_dicts() == json.loads(text)
    assert text.endswith("}\n")
    assert len(text.splitlines()) > 10


@pytest.mark.parametrize("cut", [0, 1, 20, 100])
def test_a_cut_file_is_refused_in_a_sentence(cut: int) -> None:
    """It says what to do, and nothing of it is taken."""
    text = encode_calibration(learned())[:cut]

    with pytest.raises(ConfigurationError, match=r"cannot be read: .*\. Delete the file"):
        decode_calibration(text)


@pytest.mark.parametrize(
    "text", [b"[]", b"null", b"\xff\xfe", b'{"version": NaN}', b'{"a": "\xff"}']
)
def test_a_file_of_something_else_is_refused_in_a_sentence(text: bytes) -> None:
    """Neither another JSON value nor bytes that are no text pass for a calibration."""
    with pytest.raises(ConfigurationError, match="cannot be read: "):
        decode_calibration(text)


def test_a_file_of_a_newer_version_is_told_from_a_damaged_one() -> None:
    """The remedy is another one: upgrade."""
    with pytest.raises(ConfigurationError, match=r"in form 2; this one reads form 1\. Upgrade"):
        decode_calibration(b'{"version": 2, "shape": "unknown"}')


def entry(*seen: Any) -> dict[str, Any]:
    """Return plain data with one key and these observations."""
    names = {"space": "s", "backend": "b", "device": "d", "dtype": "t"}
    return {"version": 1, "ratios": [{**names, "seen": list(seen)}], "contexts": []}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "missing required field `version`"),
        ({"version": 0, "ratios": [], "contexts": []}, "never was a form 0"),
        ({"version": True, "ratios": [], "contexts": []}, "Expected `int`"),
        ({"version": 1, "ratios": []}, "missing required field `contexts`"),
        ({"version": 1, "ratios": [], "contexts": [], "more": 1}, "unknown field `more`"),
        (entry([0.0, False]), "> 0.0"),
        (entry([-1.0, False]), "> 0.0"),
        (entry([1e9, False]), "<= 1000.0"),
        (entry([math.nan, False]), "> 0.0"),
        (entry([1.0]), "length 2"),
        (entry(["1.0", False]), "Expected `float`"),
        ({**entry(), "contexts": [{"backend": "b", "device": "d", "bytes": [0]}]}, ">= 1"),
        ([], "Expected `object`"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(data: Any, why: str) -> None:
    """It says what is wrong and what to do; none of it is taken."""
    with pytest.raises(ConfigurationError) as caught:
        Calibration.from_dicts(data)

    assert why in str(caught.value)
    assert str(caught.value).endswith("Delete the file that it was kept in; it is learned anew.")


def test_data_of_a_newer_version_asks_for_an_upgrade() -> None:
    """Whatever else it holds, deleting it is not the first advice."""
    with pytest.raises(ConfigurationError, match=r"by a newer aiotune, in form 9; .* Upgrade"):
        Calibration.from_dicts({"version": 9})
