"""Bugs of what is done while a driver or a disk hangs."""

from __future__ import annotations

from collections.abc import Callable

from aiotune import _offload
from aiotune.scheduler import DeviceWatch, _watch
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()

_FOR_EVER = 1e6


@bug("the end of an attempt waits for the driver")
def _end_waits_for_the_driver() -> tuple[Replacement, ...]:
    return instead(_watch, "_END", lambda _: _FOR_EVER)


@bug("what a device said before a trial ended on it is taken for what it would say now")
def _stale_taken_for_fresh() -> tuple[Replacement, ...]:
    return instead(DeviceWatch, "_hold", lambda _: lambda *_: ())


@bug("an answer to a question from before a trial's end frees its device")
def _old_answer_frees() -> tuple[Replacement, ...]:
    def make(hold: Callable[..., object]) -> Callable[..., object]:
        return lambda self, answers, _: hold(self, answers, self._looks + 1)

    return instead(DeviceWatch, "_hold", make)


@bug("a device that is lost under several trials is put out of use once for each of them")
def _quarantined_twice() -> tuple[Replacement, ...]:
    return instead(DeviceWatch, "_newly", lambda _: lambda _, found: found)


@bug("the end of a search waits for a call that hangs")
def _hung_call_waited_for() -> tuple[Replacement, ...]:
    return instead(_offload, "_LINGER", lambda _: _FOR_EVER)
