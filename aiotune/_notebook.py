"""What a notebook's user is told who writes ``asyncio.run(tuner.search(...))`` in a cell.

An event loop runs there already, so ``asyncio.run`` refuses, without a word of what to do
instead, and before any code of ours can run. The call of ``search()`` is left behind, and
Python warns, at some later moment, that it was never awaited.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import CoroutineType, TracebackType
from typing import Any

__all__ = ("SENTENCE", "explain_in_cells")

SENTENCE = (
    "An event loop runs in this notebook already. In a notebook write `await tuner.search(...)` "
    "instead of `asyncio.run(tuner.search(...))`."
)


def explain_in_cells() -> None:
    """Have the sentence printed after each cell that made the mistake; needs IPython to do anything."""
    find = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = find() if find is not None else None
    if shell is not None:
        shell.events.register("post_run_cell", _explain)  # which knows it only once


def _explain(*_: object) -> None:
    # Not the cell's own result: of a script that %run has run it knows no error.
    error = getattr(sys, "last_value", None)
    if not isinstance(error, RuntimeError):
        return
    calls = list(_never_begun(error.__traceback__))
    for call in calls:
        call.close()  # or Python would warn of it, long after
    if calls:
        print(SENTENCE, file=sys.stderr)  # noqa: T201 - it belongs to the cell's traceback


def _never_begun(frames: TracebackType | None) -> Iterator[CoroutineType[Any, Any, Any]]:
    """Yield the calls of ``search()`` that asyncio was given and has not begun."""
    while frames is not None:
        frame = frames.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] in {"asyncio", "uvloop"}:
            for value in frame.f_locals.values():
                if _is_unbegun_search(value):
                    yield value
        frames = frames.tb_next


def _is_unbegun_search(value: object) -> bool:
    if not isinstance(value, CoroutineType):
        return False
    if inspect.getcoroutinestate(value) != inspect.CORO_CREATED or value.__name__ != "search":
        return False
    assert value.cr_frame is not None  # it has not even begun
    owner = type(value.cr_frame.f_locals.get("self"))
    return any(cls.__module__ == "aiotune.base_tuner" for cls in owner.__mro__)
