"""The directory and the memory keep the same contract, and the contract finds who does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from aiotune.events import EVENT_TYPES, Event, ProjectClosed, ProjectCreated, ProjectOpened
from aiotune.store import Layout, MemoryStore, Store, open_project
from aiotune.testing import StoreContract
from aiotune.testing._stores import story


class TestFileStore(StoreContract):
    """A project directory."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.layout = Layout(tmp_path, "project")

    async def open_store(self) -> Store:
        return await open_project(self.layout)


class TestMemoryStore(StoreContract):
    """The double that remembers, whose next opening is given what it remembers."""

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.last = MemoryStore(keep=True)

    async def open_store(self) -> Store:
        self.last = MemoryStore(self.last.events, keep=True)
        return self.last


class _Place(StoreContract):
    """A place whose stores are of a given class."""

    def __init__(self, kind: type[MemoryStore]) -> None:
        self.kind, self.last = kind, MemoryStore(keep=True)

    async def open_store(self) -> Store:
        self.last = self.kind(self.last.events, keep=True)
        return self.last


class _Reversing(MemoryStore):
    def append(self, *events: Event) -> Awaitable[None]:
        return super().append(*reversed(events))


class _Rounding(MemoryStore):
    def append(self, *events: Event) -> Awaitable[None]:
        return super().append(
            *(msgspec.json.decode(msgspec.json.encode(e), type=Event) for e in events)
        )


class _Lazy(MemoryStore):
    def append(self, *events: Event) -> Awaitable[None]:
        return self._later(events)

    async def _later(self, events: Sequence[Event]) -> None:
        await super().append(*events)


class _Growing(MemoryStore):
    def history(self) -> Sequence[Event]:
        return self.events


class _Open(MemoryStore):
    async def aclose(self) -> None:
        """Stay open."""


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (_Reversing, StoreContract.test_order_is_that_of_the_appends),
        (_Rounding, StoreContract.test_every_event_is_kept_exactly),
        (_Lazy, StoreContract.test_result_need_not_be_awaited),
        (_Growing, StoreContract.test_history_is_that_of_the_opening),
        (_Open, StoreContract.test_closed_store_refuses),
    ],
    ids=["reverses", "loses NaN", "waits to be awaited", "history grows", "stays open"],
)
async def test_contract_finds_a_broken_store(
    kind: type[MemoryStore], check: Callable[[StoreContract], Awaitable[None]]
) -> None:
    """A store with one fault fails the check of that rule; without it the check passes."""
    await check(_Place(MemoryStore))

    with pytest.raises((AssertionError, ValueError)):
        await check(_Place(kind))


async def test_memory_forgets_unless_told_to_keep() -> None:
    """As the store of a search it holds no more than it was given."""
    first, *rest = story()
    store = MemoryStore([first])
    await store.append(*rest)
    await store.aclose()

    assert (store.events, store.history()) == ([first], (first,))


def test_story_has_every_type_that_a_search_records() -> None:
    """The contract leaves out only what a store records by itself."""
    left_out = set(EVENT_TYPES) - {type(event) for event in story()}

    assert left_out == {ProjectCreated, ProjectOpened, ProjectClosed}
