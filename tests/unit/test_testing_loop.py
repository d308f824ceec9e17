"""Virtual time."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from aiotune.testing import Deadlock, Livelock, run_virtual


def test_sleeping_takes_no_time_and_keeps_order() -> None:
    """A day passes at once, and shorter sleeps end before longer ones."""
    order: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        order.append(name)

    async def day() -> float:
        async with anyio.create_task_group() as group:
            group.start_soon(after, 86400, "late")
            group.start_soon(after, 1, "early")
        return anyio.current_time()

    assert run_virtual(day()) == 86400
    assert order == ["early", "late"]


def test_timeouts_work_on_virtual_time() -> None:
    """A cancel scope's deadline is reached by jumping to it."""

    async def main() -> bool:
        with anyio.move_on_after(3600) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught

    assert run_virtual(main())


def test_a_deadlock_is_reported() -> None:
    """A wait for something that nobody will do is an error, not a hang."""
    with pytest.raises(Deadlock, match="no timer is pending"):
        run_virtual(asyncio.Event().wait())


def test_a_livelock_is_reported() -> None:
    """A loop that goes round for ever is an error."""

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - going round for ever is the point
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        run_virtual(spin(), max_steps=1000)
