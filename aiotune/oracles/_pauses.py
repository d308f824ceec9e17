"""Tells the log that a project's disk is full, and that it is not any more."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiotune import logs
from aiotune.store import DiskPause, FileStore, Store

__all__ = ("tell_pauses",)


def tell_pauses(store: Store, log: Any) -> None:
    """Have a store tell a log whenever it waits for space."""
    if isinstance(store, FileStore):
        store.on_pause(partial(_told, log))


def _told(log: Any, pause: DiskPause) -> None:
    if pause.over:
        log.info(logs.DISK_HAS_SPACE, path=pause.path, waited=round(pause.waited, 1))
        return
    log.warning(
        logs.DISK_FULL,
        path=pause.path,
        reason=pause.reason,
        free_bytes=pause.free,
        waited=round(pause.waited, 1),
    )
