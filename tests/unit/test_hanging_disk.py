"""A file server that hangs costs what is said, and never the search."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog

from aiotune import _devices, _gpu, logs
from aiotune._devices import Wanted
from aiotune._equipment import equipment
from aiotune._offload import InlineOffloader, Overdue
from aiotune.errors import DeviceError, StorageError
from aiotune.scheduler._claiming import Claiming
from aiotune.scheduler._last_words import printed_last, written_result
from aiotune.store import Layout, _journal, open_project
from aiotune.store._outlast import outlast
from aiotune.store._segment import SegmentFile
from aiotune_gpu import DriverHangs

T = TypeVar("T")
LEASE = _gpu.Lease(0, "0", ("GPU-a",), 1)


class Hangs(InlineOffloader):
    """No call ends within its deadline, and each has one."""

    async def run(
        self,
        lane: str,
        function: Callable[..., T],
        *args: object,
        deadline: float | None = None,
        what: str = "",
    ) -> T:
        assert deadline is not None
        raise Overdue(what or "It", deadline)


async def test_a_result_that_cannot_be_read_is_none() -> None:
    """It is said which file, and how long it was waited for."""
    with structlog.testing.capture_logs() as told:
        log = structlog.get_logger()
        found = await written_result(Path("/p/trial/result"), "0007", "0007-01", Hangs(), log)

    assert found is None
    assert (told[0]["event"], told[0]["trial"]) == (logs.RESULT_UNREADABLE, "0007")
    assert "Reading /p/trial/result has taken longer than 60 s" in told[0]["error_message"]


async def test_output_that_cannot_be_read_is_not_quoted() -> None:
    """The reason stands in its place."""
    assert "has taken longer than 10 s" in await printed_last(Path("/p/output.log"), Hangs())


async def test_gpus_that_cannot_be_listed_are_an_error() -> None:
    """The sentence says what to do."""
    with pytest.raises(DeviceError, match=r"could not be listed within 120 s\. Mend the driver"):
        async with equipment(Wanted(), Hangs(), processes=True):
            pass


def test_a_driver_that_does_not_open_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the devices, not of the program."""

    def hangs() -> Any:
        raise DriverHangs("A call of the driver's (open) did not return within 10 s.")

    monkeypatch.setattr(_gpu, "IsolatedProvider", hangs)

    with pytest.raises(DeviceError, match=r"cannot be listed: .* within 10 s"):
        _devices.find_resources(Wanted(), environ={})


async def test_who_is_cancelled_leaves_a_hung_disk_behind() -> None:
    """After some seconds; who is not waits for it."""
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(outlast(work, linger=0.05))
    await asyncio.sleep(0)
    waiting.cancel()

    assert isinstance(await waiting, asyncio.CancelledError)
    assert not work.done()


async def test_a_journal_whose_disk_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its deadline it is said so, and the project stays locked: what hangs may still be written."""
    on = threading.Event()
    store = await open_project(Layout(tmp_path, "p"))
    monkeypatch.setattr(_journal, "_CLOSING", 0.05)
    monkeypatch.setattr(SegmentFile, "sync", lambda _: on.wait())

    try:
        with pytest.raises(
            StorageError, match=r"has not returned for 0 s.*until this program ends"
        ):
            await store.aclose()
        assert store._journal.hangs
        assert store._lock._fd >= 0
    finally:
        on.set()
        await asyncio.to_thread(store._journal._thread.join)
        store._journal._file.close()
        store._lock.release()


async def test_a_directory_of_claims_that_hangs_is_given_up() -> None:
    """No trial waits for it: its search is seen by nobody from then on, says so once, and asks no more."""
    claims, offload = _gpu.HostClaims(Path("/nowhere")), Hangs()
    with structlog.testing.capture_logs() as told:
        claiming = Claiming(claims, offload, structlog.get_logger())
        held = await claiming.claim(LEASE, ())
        others = await claiming.others()
        await claiming.withdraw(LEASE)
        await claiming.close()

    assert (list(held), list(others)) == ([], [])
    assert [entry["event"] for entry in told] == [logs.CLAIMS_UNUSABLE]
    assert "has taken longer than" in told[0]["reason"]
