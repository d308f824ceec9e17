"""Text made safe for terminals and logs."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotune._printable import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ünïcode 日本", "plain ünïcode 日本"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x07\x00", "\\x1b[2J\\x07\\x00"),
        ("\x7f\x9b31m", "\\x7f\\x9b31m"),
        ("\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_move_a_cursor_or_forge_a_line_is_escaped(text: str, expected: str) -> None:
    """Controls, bidirectional marks, separators and lone surrogates appear as escapes."""
    assert expected == printable(text)


@given(st.text(st.characters(exclude_categories=())), st.integers(3, 50))
def test_any_text_becomes_one_encodable_line_within_the_limit(text: str, limit: int) -> None:
    """Whatever comes in, the result is short, encodes, and holds no control character."""
    shown = printable(text, limit)

    assert len(shown) <= limit
    assert shown == shown.encode().decode()
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]


def test_a_cut_is_visible() -> None:
    """A text at the limit stays whole; one character more ends in three dots."""
    assert printable("a" * 10, 10) == "a" * 10
    assert printable("a" * 11, 10) == "a" * 7 + "..."


def test_other_objects_are_shown_by_their_str() -> None:
    """Numbers and exceptions need no conversion by the caller."""
    assert printable(0.5) == "0.5"
    assert printable(ValueError("bad\nnews")) == "bad\\nnews"
