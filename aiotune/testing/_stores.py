"""What every store must keep to, as a class that a plugin's tests inherit.

::

    class TestMyStore(StoreContract):
        async def open_store(self) -> Store:
            return await MyStore.connect(self.address)

The only hole is what opens the store of a test. Called again after a close,
it opens the same one. pytest makes an instance for each test, so a place is
best kept in an attribute that an autouse fixture sets.
"""

from __future__ import annotations

import asyncio
import gc
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence

from aiotune.errors import StorageError
from aiotune.events import (
    AttemptEnded,
    AttemptStarted,
    DeviceQuarantined,
    DeviceReturned,
    Event,
    MemoryObserved,
    MetricsReported,
    OracleStateKept,
    ProjectClosed,
    ProjectCreated,
    ProjectOpened,
    RetryScheduled,
    SearchEnded,
    SearchStarted,
    SpaceGrew,
    TrialCreated,
    TrialEnded,
    TrialPruned,
    TrialRequeued,
    TrialWeighed,
)
from aiotune.failures import FailureKind, TrialFailure
from aiotune.memory import MemoryPeak, ModelSize
from aiotune.status import TrialStatus
from aiotune.store import Store

__all__ = ("StoreContract", "story")

_COMMITTERS, _TURNS = 64, 3
_SIZE = ModelSize(
    backend="jax",
    parameters=3,
    trainable_parameters=2,
    weight_bytes=12,
    gradient_bytes=8,
    slot_bytes=16,
    bytes_by_dtype={"float32": 12},
)
_FAILURE = TrialFailure(
    kind=FailureKind.ERROR, type="ValueError", message="größer\nals 0", mro=("builtins.ValueError",)
)


def story() -> list[Event]:
    """Return one event of each type that a search records, with numbers and texts that are hard to keep."""
    return [
        SearchStarted(
            oracle="random", objective=[{"name": "loss"}], seed=2**63 - 1, max_trials=None
        ),
        SpaceGrew(
            entries=[{"class_name": "Choice", "config": {"values": ["学习率", "🚀", "\x00"]}}]
        ),
        OracleStateKept(trial_id="0000", state='{"\\u00fc": [NaN, "\\\\"]}'),
        TrialCreated(
            trial_id="0000", index=0, values={"lr": 0.1 + 0.2, "n": -1, "on": True}, stream=3
        ),
        TrialWeighed(trial_id="0000", size=_SIZE, traced=1 << 40),
        AttemptStarted(trial_id="0000", attempt=1, attempt_id="a", devices=["GPU-1"], at=1.5),
        MetricsReported(
            trial_id="0000", attempt=1, step=0, metrics={"loss": math.nan, "acc": -math.inf}
        ),
        AttemptEnded(
            trial_id="0000",
            attempt=1,
            attempt_id="a",
            outcome=TrialStatus.INVALID,
            failure=_FAILURE,
            peak=MemoryPeak(allocated=1, reserved=2),
        ),
        MemoryObserved(
            space="s", backend="jax", device="Fake", dtype="float32", predicted=3, peak=4
        ),
        TrialPruned(trial_id="0", attempt=1, step=3, reason="It is worse than the others."),
        RetryScheduled(
            trial_id="0000", next_attempt=2, failures=1, retries_left=0, failure=_FAILURE
        ),
        TrialRequeued(trial_id="0000", reason="lost", lost=1),
        TrialEnded(
            trial_id="0000",
            status=TrialStatus.COMPLETED,
            values={"lr": 1e-300, "name": 'quote"\\'},
            score=math.inf,
            executions=[{"loss": -0.0}],
        ),
        DeviceQuarantined(device="GPU-1", reason="Xid 79", trials=["0000"]),
        DeviceReturned(device="GPU-1"),
        SearchEnded(reason="done"),
    ]


def _numbered(number: int) -> Event:
    return TrialRequeued(trial_id=f"{number:04d}", reason="lost")


def _own(history: Sequence[Event]) -> list[Event]:
    """Leave out what a store records by itself."""
    return [e for e in history if not isinstance(e, ProjectCreated | ProjectOpened | ProjectClosed)]


class StoreContract(ABC):
    """Checks of :class:`~aiotune.store.Store`, one rule each."""

    @abstractmethod
    async def open_store(self) -> Store:
        """Open this test's store; after a close, the same one again."""

    async def _reopened(self) -> list[Event]:
        store = await self.open_store()
        history = _own(store.history())
        await store.aclose()
        return history

    async def test_new_store_has_no_history(self) -> None:
        """Nothing but the store's own records is there at first."""
        store = await self.open_store()
        history = _own(store.history())
        await store.aclose()

        assert history == []

    async def test_every_event_is_kept_exactly(self) -> None:
        """Each type comes back with its numbers and texts unchanged, in order."""
        store = await self.open_store()
        await store.append(*story())
        await store.aclose()

        # repr tells -0.0 from 0.0 and 1 from True, and NaN is like NaN.
        assert list(map(repr, await self._reopened())) == list(map(repr, story()))

    async def test_order_is_that_of_the_appends(self) -> None:
        """Events of one append and of several, over several openings, keep their order."""
        for opening in range(3):
            store = await self.open_store()
            first = opening * 5
            store.append(_numbered(first), _numbered(first + 1))
            await store.append(_numbered(first + 2))
            store.append(_numbered(first + 3))
            store.append(_numbered(first + 4))
            await store.aclose()

        assert await self._reopened() == [_numbered(i) for i in range(15)]

    async def test_history_is_that_of_the_opening(self) -> None:
        """What is appended later does not change the history that was read."""
        store = await self.open_store()
        await store.append(_numbered(0))
        await store.aclose()
        store = await self.open_store()
        before = _own(store.history())
        await store.append(_numbered(1))
        after = _own(store.history())
        await store.aclose()

        assert before == after == [_numbered(0)]

    async def test_result_need_not_be_awaited(self) -> None:
        """A close makes durable what nobody waited for, and Python warns of nothing."""
        store = await self.open_store()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for number in range(10):
                store.append(_numbered(number))
            gc.collect()
        await store.aclose()

        assert [str(warning.message) for warning in warned] == []
        assert await self._reopened() == [_numbered(i) for i in range(10)]

    async def test_results_may_be_awaited_in_any_order(self) -> None:
        """The last one covers all before it, and each may be awaited again, even after the close."""
        store = await self.open_store()
        results = [store.append(_numbered(number)) for number in range(3)]
        for result in reversed(results):
            await result
        await store.aclose()
        for result in results:
            await result

        assert await self._reopened() == [_numbered(i) for i in range(3)]

    async def test_nothing_may_be_appended(self) -> None:
        """An append without events records none, and its result waits for those before."""
        store = await self.open_store()
        store.append(_numbered(0))
        await store.append()
        await store.aclose()

        assert await self._reopened() == [_numbered(0)]

    async def test_many_committers_do_not_mix(self) -> None:
        """Many tasks that append and wait are all served, in the order they came."""
        store = await self.open_store()
        order: list[int] = []

        async def commit(number: int) -> None:
            for turn in range(_TURNS):
                order.append(turn * 100 + number)
                await store.append(_numbered(turn * 100 + number))

        await asyncio.gather(*map(commit, range(_COMMITTERS)))
        await store.aclose()

        assert await self._reopened() == [_numbered(number) for number in order]
        assert len(order) == _COMMITTERS * _TURNS

    async def test_cancelled_wait_takes_nothing_back(self) -> None:
        """An event stays appended although the task that waited for it was cancelled."""
        store = await self.open_store()

        async def commit() -> None:
            await store.append(_numbered(0))

        task = asyncio.ensure_future(commit())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.append(_numbered(1))
        await store.aclose()

        assert await self._reopened() == [_numbered(0), _numbered(1)]

    async def test_close_cancelled_before_it_began_is_a_close(self) -> None:
        """A task that was cancelled before its first step leaves nothing unrecorded, and nothing held."""
        store = await self.open_store()
        store.append(_numbered(0))
        task = asyncio.ensure_future(store.aclose())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert await self._reopened() == [_numbered(0)]

    async def test_closed_store_refuses(self) -> None:
        """After a close an append raises a ``StorageError`` with a sentence; closing again is harmless."""
        store = await self.open_store()
        await store.aclose()
        await store.aclose()
        try:
            store.append(_numbered(0))
        except StorageError as error:
            refusal = str(error)
        else:
            raise AssertionError("a closed store accepts events")

        assert refusal.endswith(".")
        assert " " in refusal, f"{refusal!r} is not a sentence"
        assert await self._reopened() == []
