"""A store that forgets."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sequence

from aiotune.errors import StorageError
from aiotune.events import Event

__all__ = ("MemoryStore",)


class _Now:
    """An awaitable that is ready."""

    __slots__ = ()

    def __await__(self) -> Generator[object, None, None]:
        return
        yield


_NOW = _Now()


class MemoryStore:
    """Keeps nothing: the state that events fold into is all there is.

    Args:
        history: Events that were there before.
        keep: Whether to remember what is appended, as a test's double of the journal.
    """

    def __init__(self, history: Sequence[Event] = (), *, keep: bool = False) -> None:
        self._history = tuple(history)
        self._keep = keep
        self._closed = False
        self.events: list[Event] = list(history)

    def history(self) -> Sequence[Event]:
        """Return the events given at the start."""
        return self._history

    def append(self, *events: Event) -> Awaitable[None]:
        """Accept events; they are as durable at once as they will ever be.

        Raises:
            StorageError: The store is closed.
        """
        if self._closed:
            raise StorageError("The store is closed, so nothing can be recorded in it.")
        if self._keep:
            self.events.extend(events)
        return _NOW

    async def aclose(self) -> None:
        """Refuse what comes after."""
        self._closed = True
