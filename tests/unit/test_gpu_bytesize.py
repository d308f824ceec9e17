"""Byte counts: read from people, printed for people."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune_gpu import GIB, MIB, format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (0, 0),
        (1024, 1024),
        ("1024", 1024),
        ("7 b", 7),
        ("500MB", 500_000_000),
        ("1.5 gb", 1_500_000_000),
        ("2tb", 2_000_000_000_000),
        ("1KiB", 1024),
        ("0.5 MiB", MIB // 2),
        (" 8GiB ", 8 * GIB),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes_are_read_with_and_without_a_unit(text: str | int, expected: int) -> None:
    """Units are those of 1000 and of 1024, in any case, with or without a blank."""
    assert expected == parse_bytes(text)


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "8 GiX", "1e3", "1,5GB", "8 GiB free", "\u0661", -1, True, 1.5, None]
)
def test_what_is_no_size_is_refused_with_examples(text: object) -> None:
    """The message shows what came and two sizes that would do."""
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not a size") + ".*8GiB"):
        parse_bytes(text)  # type: ignore[arg-type]


@given(st.integers(0, 1 << 80))
def test_a_number_of_any_size_is_read_exactly(count: int) -> None:
    """No digit is lost to floating point, however large the number."""
    assert count == parse_bytes(str(count))
    assert count << 30 == parse_bytes(f"{count} GiB")


def test_digits_beyond_every_float_are_read() -> None:
    """A size that no float can hold is a size, not a crash."""
    assert parse_bytes(f"1{'0' * 400}") == 10**400


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (MIB - 1, "1.0 MiB"),
        (1536 * MIB, "1.5 GiB"),
        (22 * GIB + GIB // 2, "22.5 GiB"),
        (3 << 40, "3.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
        (-2 * GIB, "-2.0 GiB"),
    ],
)
def test_counts_are_printed_in_the_unit_that_fits(count: int, expected: str) -> None:
    """One decimal, in the largest unit of which there is a whole one."""
    assert expected == format_bytes(count)


@given(st.integers(0, 1 << 50))
def test_what_is_printed_reads_back_within_rounding(count: int) -> None:
    """Printing loses one decimal and no more."""
    assert abs(parse_bytes(format_bytes(count)) - count) <= 0.051 * max(count, 20)
