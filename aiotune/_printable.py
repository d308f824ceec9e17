"""Text of unknown origin, made safe for a terminal and a log."""

from __future__ import annotations

import re

__all__ = ("printable",)

# C0 and C1 controls, DEL, line and paragraph separators, bidirectional marks,
# the byte order mark, and lone surrogates, which no stream can encode.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: object, limit: int = 4096) -> str:
    r"""Return text in one line without control characters, cut to a length.

    Control characters, which could move the cursor or forge a line, appear as
    ``\n``, ``\x1b`` or ``\u202e``.

    Args:
        text: Anything; its ``str`` is shown.
        limit: Longest result, in characters; a cut ends in ``...``.
    """
    if type(text) is str and len(text) <= limit and text.isascii() and text.isprintable():
        return text  # as nearly always, and a search shows many
    # Escapes only lengthen a text, so what lies beyond the limit is never shown.
    shown = _UNSAFE.sub(_escaped, str(text)[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
