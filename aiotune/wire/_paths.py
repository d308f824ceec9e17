"""Where in the user's arguments an object is, in words the user knows."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ("path_to",)

_MOST_OBJECTS = 50_000

Step = tuple[str, Any]


def path_to(wanted: Any, roots: Iterable[Step]) -> str | None:
    """Return the shortest path from one of the roots to an object.

    Args:
        wanted: The very object, found by identity.
        roots: Pairs of (name, object).

    Returns:
        Something like ``kwargs["callbacks"][0].lock``, or ``None`` if the
        object is not reachable: an object's own ``__reduce__`` may have made it.
    """
    queue: deque[Step] = deque(roots)
    seen: set[int] = set()
    keep: list[Any] = []  # a temporary's id must not be used again while `seen` holds it
    while queue and len(seen) < _MOST_OBJECTS:
        path, value = queue.popleft()
        if value is wanted:
            return path
        if id(value) in seen or isinstance(value, (str, bytes, int, float, ModuleType)):
            continue
        seen.add(id(value))
        keep.append(value)
        queue.extend((path + suffix, child) for suffix, child in _children(value))
    return None


def _children(value: Any) -> Iterator[Step]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield (f'["{key}"]' if isinstance(key, str) else f"[{key!r}]"), child
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        for index, child in enumerate(value):
            yield f"[{index}]", child
    elif isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
        yield "", value.__func__
    elif isinstance(value, functools.partial):
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
    yield from _attributes(value)


def _of_function(function: FunctionType) -> Iterator[Step]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    for name, cell in cells:
        try:
            yield f"'s variable {name!r}", cell.cell_contents
        except ValueError:  # the variable was never assigned
            continue
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f"'s global variable {name!r}", function.__globals__[name]
    for child in function.__defaults__ or ():
        yield "'s default argument", child


def _attributes(value: Any) -> Iterator[Step]:
    try:
        yield from ((f".{name}", child) for name, child in vars(value).items())
    except TypeError:
        # No __dict__; what is left are slots.
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                child = getattr(value, name, None)
                if child is not None:
                    yield f".{name}", child
