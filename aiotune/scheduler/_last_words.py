"""What the output of a worker ends with that left no error."""

from __future__ import annotations

from pathlib import Path

__all__ = ("last_words",)


def last_words(path: Path, lines: int = 15, limit: int = 16384) -> str:
    """Return what a dead worker's output ends with: the beginning of its last stack, if it left one."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit))
            text = file.read(limit).decode(errors="replace")
    except OSError:
        return ""
    fatal = text.rfind("Fatal Python error: ")
    if fatal >= 0:
        # The frames that say where it died come first; below them is how it got there.
        return "\n".join(text[fatal:].splitlines()[:lines])
    return "\n".join(text.splitlines()[-lines:])
