"""Text of unknown origin, made safe for a terminal and a log."""

from __future__ import annotations

import re
import reprlib

__all__ = ("printable", "shown")

# C0 and C1 controls, DEL, line and paragraph separators, bidirectional marks,
# the byte order mark, and lone surrogates, which no stream can encode.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)

_CONTAINERS = (list, tuple, dict, set, frozenset)
_SHORT = reprlib.Repr()  # spells out a few of a container's members
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxfrozenset = 20
_SHORT.maxstring = _SHORT.maxother = 100


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


def shown(value: object, limit: int = 100) -> str:
    """Return the ``repr`` of a value for an error's sentence: one line, cut, and never an error itself.

    Args:
        value: Anything, an object of the user's included, whose ``__repr__`` may be broken.
        limit: Longest result, in characters; a cut ends in ``...``.
    """
    try:
        # Long containers are cut before they are spelt out.
        text = _SHORT.repr(value) if isinstance(value, _CONTAINERS) else repr(value)
    except Exception as error:  # noqa: BLE001 - the user's __repr__ may raise anything
        text = f"<{type(value).__name__} whose repr() raises {type(error).__name__}>"
    return printable(text, limit)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
