"""What a search finds to run on when it begins, and what its program has already taken of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiotune import logs
from aiotune._devices import Resources, Wanted, find_resources, let_go
from aiotune._offload import Overdue
from aiotune.errors import DeviceError
from aiotune.executors._files import within_open_files
from aiotune.scheduler import DeviceWatch

if TYPE_CHECKING:
    from aiotune._offload import Offloader

__all__ = ("equipment", "tell_of_ourselves")

_LISTING, _COUNTING, _ASKING, _CLOSING = 120.0, 10.0, 30.0, 3.0


@asynccontextmanager
async def equipment(
    wanted: Wanted, offload: Offloader, *, processes: bool
) -> AsyncIterator[Resources]:
    """Find what there is to run trials on, and let go of the driver afterwards.

    Args:
        wanted: What the search asks for.
        offload: Asks.
        processes: Whether trials run in processes, which need descriptors of this one.

    Raises:
        DeviceError: The driver fails, or hangs.
        ConfigurationError: As of :func:`aiotune._devices.find_resources`.
    """
    try:
        found = await offload.run("nvml", find_resources, wanted, deadline=_LISTING)
    except Overdue as error:
        raise DeviceError(
            f"The GPUs of this host could not be listed within {_LISTING:.0f} s.",
            hint="Mend the driver, or pass devices=[] to train on the CPU.",
        ) from error
    try:
        if processes:
            found = await offload.run("watch", within_open_files, found, deadline=_COUNTING)
        yield found
    finally:
        if found.provider is not None:
            with contextlib.suppress(Overdue):
                await offload.run("nvml", let_go, found.provider, deadline=_CLOSING)


async def tell_of_ourselves(resources: Resources, offload: Offloader, log: Any) -> None:
    """Say so if this program itself takes from its trials what they could have."""
    watch = DeviceWatch(resources, offload)
    held: dict[str, int | None] = {}
    with contextlib.suppress(Overdue):  # the first regular look will say what is wrong
        held = await offload.run("nvml", watch.held_by, os.getpid(), deadline=_ASKING)
    for uuid, size in held.items():
        log.warning(
            logs.PARENT_HOLDS_MEMORY,
            device=uuid,
            bytes=size,
            hint="This program has used the GPU itself. Trials get what is left. Leave GPUs to the "
            "trials: do not build or run models before search(), or set CUDA_VISIBLE_DEVICES to "
            "another GPU while you do.",
        )
