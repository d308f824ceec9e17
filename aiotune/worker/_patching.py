"""Replaces an attribute of a class for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ("owners", "replaced")

_ABSENT = object()


@contextlib.contextmanager
def replaced(owner: type, name: str, value: Any) -> Iterator[None]:
    """Put ``value`` in the place of ``owner.name``; afterwards what was there, or nothing.

    An inherited attribute is shadowed, and found again when the shadow is gone.
    """
    before = vars(owner).get(name, _ABSENT)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def owners(cls: type, name: str) -> list[type]:
    """Return the classes that define ``name`` themselves, most derived first."""
    return [c for c in cls.__mro__ if name in vars(c) and c is not object]
