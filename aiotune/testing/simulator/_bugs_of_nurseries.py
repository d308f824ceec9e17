"""Bugs of how workers come to be, and of whom the kernel has killed."""

from __future__ import annotations

import math
from typing import Any

import anyio

from aiotune import failures
from aiotune.executors import _nurseries
from aiotune.failures import FailureKind
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement
from aiotune.worker import _oom_kills

__all__ = ()


@bug("a launch that waited for a nursery is lost with it")
def _launch_lost_with_the_nursery() -> tuple[Replacement, ...]:
    async def once(self: Any, fork: Any) -> Any:
        with anyio.move_on_after(_nurseries._ANSWER):  # noqa: SLF001 - as it does
            return await fork(await self.ready())
        raise _nurseries.NurseryLost

    return instead(_nurseries.Nurseries, "ask", lambda _: once)


@bug("a nursery that does not answer is waited for")
def _silent_nursery_waited_for() -> tuple[Replacement, ...]:
    return instead(_nurseries, "_ANSWER", lambda _: math.inf)


@bug("a back end that does not work in a fork costs its trial a retry")
def _refused_fork_counts() -> tuple[Replacement, ...]:
    return instead(failures, "_COUNTED", lambda counted: counted | {FailureKind.FORK_REFUSED})


@bug("a kill for want of memory elsewhere on the host is taken for a trial's")
def _foreign_kill_taken_for_ours() -> tuple[Replacement, ...]:
    def make(init: Any) -> Any:
        def of_the_host(self: Any) -> None:
            init(self)
            self._file = _oom_kills._VMSTAT  # noqa: SLF001 - the bug is in there
            self._before = self._count()

        return of_the_host

    return instead(_oom_kills.OomKills, "__init__", make)
