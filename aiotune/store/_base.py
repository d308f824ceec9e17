"""Where the facts of a project are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from aiotune.events import Event

__all__ = ("Store",)


class Store(Protocol):
    """An append-only sequence of events, owned by one event loop at a time."""

    def history(self) -> Sequence[Event]:
        """Return every event that the store held when it was opened, in order."""
        ...

    def append(self, *events: Event) -> Awaitable[None]:
        """Queue events in order, without blocking.

        Awaiting the result waits until they are durable, and with them
        everything appended before. The result need not be awaited. A failed write raises from every later
        ``append`` and from every pending result.

        Raises:
            StorageError: The store is closed or a write has failed.
        """
        ...

    async def aclose(self) -> None:
        """Make everything durable and release the project, even if the caller is cancelled, meanwhile or before.

        Raises:
            StorageError: Events that nobody waited for could not be written. The
                project is released all the same.
        """
        ...
