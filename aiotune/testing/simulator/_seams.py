"""Puts other things into the places of the product's own, for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ("Replacement", "replaced")

Replacement = tuple[Any, str, Any]
"""A module or class, the name of an attribute, what it is to be."""


@contextlib.contextmanager
def replaced(*names: Replacement) -> Iterator[None]:
    """Let modules, or classes, have other attributes for a while."""
    before = [(owner, name, owner.__dict__[name]) for owner, name, _ in names]
    for owner, name, value in names:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
