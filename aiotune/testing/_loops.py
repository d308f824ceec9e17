"""The kinds of event loop that a search has to do with."""

from __future__ import annotations

import asyncio
import sys

__all__ = ("HERE", "KINDS", "loop_of_kind")

KINDS = ("asyncio", "uvloop", "eager", "debug")
HERE = tuple(kind for kind in KINDS if kind != "eager" or sys.version_info >= (3, 12))
"""Those that this Python has: eager tasks came with 3.12."""


def loop_of_kind(kind: str) -> asyncio.AbstractEventLoop:
    """Return a new event loop of one of :data:`KINDS`.

    Args:
        kind: ``"asyncio"``: as it comes. ``"uvloop"``. ``"eager"``: tasks begin before whoever makes
            them goes on. ``"debug"``: asyncio's debug mode.
    """
    if kind == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    loop = asyncio.SelectorEventLoop()
    if kind == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    loop.set_debug(kind == "debug")
    return loop
