"""How bugs are planted into the product, so that it can be seen whether they are found.

Each is a line of meaning and a function that returns what it puts into the
place of what: the product itself has no switches for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aiotune.testing.simulator._seams import Replacement, replaced

__all__ = ("BUGS", "Bug", "bug", "instead", "planted")


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug that can be planted.

    Attributes:
        name: Its name.
        what: What it does, in a line.
        replaces: Returns what is put into the place of what.
    """

    name: str
    what: str
    replaces: Callable[[], tuple[Replacement, ...]]


BUGS: dict[str, Bug] = {}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Let the product have a bug for a while."""
    with replaced(*BUGS[name].replaces()):
        yield


def bug(what: str) -> Callable[[Callable[[], tuple[Replacement, ...]]], None]:
    """Add a bug to those that can be planted, by the name of the function below."""

    def add(replaces: Callable[[], tuple[Replacement, ...]]) -> None:
        name = replaces.__name__.strip("_")
        BUGS[name] = Bug(name, what, replaces)

    return add


def instead(owner: Any, name: str, make: Callable[[Any], Any]) -> tuple[Replacement, ...]:
    """Put what is made of a function into its place."""
    return ((owner, name, make(owner.__dict__[name])),)
