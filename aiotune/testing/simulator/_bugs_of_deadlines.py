"""Bugs of waits that have a deadline, and of what counts as life."""

from __future__ import annotations

from typing import Any

import anyio

from aiotune.scheduler import _inquiry
from aiotune.scheduler._activity import DeviceWork
from aiotune.scheduler._patience import Patience
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


@bug("a weighing has no deadline")
def _weighing_without_deadline() -> tuple[Replacement, ...]:
    async def watch(*_: Any) -> None:
        await anyio.sleep_forever()

    return instead(_inquiry._Asked, "_watch", lambda _: watch)  # noqa: SLF001 - the bug is in there


@bug("the process of a weighing is left behind when its deadline has passed")
def _weigher_left_behind() -> tuple[Replacement, ...]:
    async def end(_: Any) -> bool:
        return True

    return instead(_inquiry, "_end", lambda _: end)


@bug("a weighing that computes counts as silent")
def _computing_weigher_is_silent() -> tuple[Replacement, ...]:
    return instead(_inquiry._Asked, "_shows_life", lambda _: lambda *_: False)  # noqa: SLF001


@bug("a weighing that computes may do so for ever")
def _weighing_without_end() -> tuple[Replacement, ...]:
    def make(too_long: Any) -> Any:
        return lambda self, silent, _: too_long(self, silent, 0.0)

    return instead(_inquiry._Asked, "_too_long", make)  # noqa: SLF001


@bug("a wait that spins is a sign of life on a device that does not work")
def _spinning_is_life() -> tuple[Replacement, ...]:
    # Nobody knows of a device whether it works.
    return instead(DeviceWork, "is_known", lambda _: lambda *_: False)


@bug("compiling before the first epoch is no sign of life on a device that does not work")
def _compiling_is_silence() -> tuple[Replacement, ...]:
    return instead(Patience, "_beginning", lambda _: property(lambda _: 0.0))
