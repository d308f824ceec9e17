"""Bugs of those who say that a trial does not fit, or that there is no device left. Some were the product's own."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from aiotune._gpu import LeaseLedger, MemoryRequest
from aiotune.failures import FailureKind, MemoryCause
from aiotune.memory import MOST_TRIES
from aiotune.scheduler import Admission, SchedulerCore, SearchLoop, Weigher, _attempts, _watch
from aiotune.scheduler import _admission as _admissions
from aiotune.scheduler._admission import OWN
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


# ── devices that there are, and that there may be again ────────────────────


@bug("a device whose memory is only late counts as lost when it is asked what fits")
def _away_is_lost() -> tuple[Replacement, ...]:
    def make(close: Any) -> Any:
        def lost(self: Any, uuid: str, **_: Any) -> None:
            close(self, uuid)

        return lost

    return instead(LeaseLedger, "close", make)


@bug("what is free now is taken for all that a device can give")
def _free_is_all() -> tuple[Replacement, ...]:
    def make(states: Any) -> Any:
        def now(self: Any, holder: str | None) -> Any:
            for state in states(self, holder):
                yield dataclasses.replace(state, capacity=state.available)

        return now

    return instead(LeaseLedger, "_states", make)


@bug("a model is weighed against what is free now")
def _weighed_against_what_is_free() -> tuple[Replacement, ...]:
    def make(order: Any) -> Any:
        def now(self: Any, trial: Any, *, precise: bool) -> Any:
            states = self._admission.ledger.states()
            free = max((s.available for s in states), default=None)
            return msgspec.structs.replace(order(self, trial, precise=precise), max_bytes=free)

        return now

    return instead(Weigher, "_order", make)


@bug("the smallest device is taken for the largest")
def _smallest_is_largest() -> tuple[Replacement, ...]:
    def smallest(self: Any, size: Any) -> int:
        return min((size(s) for s in self.ledger.states() if not s.broken), default=0)

    return instead(Admission, "_of_each", lambda _: smallest)


@bug("each device of a trial is to be as large as the largest of all")
def _each_as_the_largest() -> tuple[Replacement, ...]:
    def largest(self: Any, size: Any) -> int:
        return max((size(s) for s in self.ledger.states() if not s.broken), default=0)

    return instead(Admission, "_of_each", lambda _: largest)


@bug("a trial that needs two devices is refused when one is left")
def _one_device_is_enough() -> tuple[Replacement, ...]:
    def any_left(self: Any) -> bool:
        states = self.admission.ledger.states()
        return not states or any(not state.broken for state in states)

    return instead(SchedulerCore, "_has_devices", lambda _: any_left)


@bug("the last device ends the search although its memory is only late")
def _last_device_not_waited_for() -> tuple[Replacement, ...]:
    def make(quarantine: Any) -> Any:
        return lambda self, broken: quarantine(self, dataclasses.replace(broken, may_return=False))

    return instead(SearchLoop, "_quarantine", make)


@bug("a device whose memory is late is waited for half a minute")
def _late_memory_soon_given_up() -> tuple[Replacement, ...]:
    return instead(_watch, "_GIVE_UP", lambda _: 6)


@bug("a question that a trial's end makes to a silent driver counts like a look")
def _ends_count_as_looks() -> tuple[Replacement, ...]:
    def make(ask: Any) -> Any:
        return lambda self, uuids, _: ask(self, uuids, True)

    return instead(_watch.DeviceWatch, "_ask", make)


@bug("a trial may wait for the memory that a desktop holds")
def _desktop_waited_for() -> tuple[Replacement, ...]:
    return instead(_admissions, "_room", lambda _: lambda state: state.capacity)


# ── the ladder ─────────────────────────────────────────────────────────────


@bug("a trial is given more memory once, and never a device alone")
def _ladder_too_short() -> tuple[Replacement, ...]:
    def make(next_rung: Any) -> Any:
        def shorter(failure: Any, *, tries: int, **rest: Any) -> Any:
            over = failure.cause in OWN and tries >= MOST_TRIES - 1
            return None if over else next_rung(failure, tries=tries, **rest)

        return shorter

    return instead(_admissions, "next_rung", make)


@bug("who ran out of memory alone on any device fits nowhere")
def _alone_anywhere_is_enough() -> tuple[Replacement, ...]:
    return instead(Admission, "_on_large", lambda _: lambda *_: True)


@bug("who ran out of memory alone on what others had left of a device fits nowhere")
def _others_memory_is_its_fault() -> tuple[Replacement, ...]:
    return instead(Admission, "is_short", lambda _: lambda *_: False)


@bug("what a trial was to be given is forgotten when it fails for another reason")
def _rung_forgotten() -> tuple[Replacement, ...]:
    def make(with_rung: Any) -> Any:
        def forgetful(running: Any, failure: Any, admission: Any) -> Any:
            if failure is not None and failure.kind is not FailureKind.OUT_OF_MEMORY:
                running.trial.rung = None
            # As it was: no try was left then.
            return with_rung(running, failure, admission)

        return forgetful

    def strict(after: Any) -> Any:
        def counted(self: Any, failure: Any, lease: Any, tries: int) -> Any:
            over = failure.cause in OWN and tries >= MOST_TRIES
            return None if over else after(self, failure, lease, tries)

        return counted

    return (*instead(_attempts, "with_rung", make), *instead(Admission, "after", strict))


@bug("a rung insists on the memory of a device that is lost since")
def _rung_of_the_lost() -> tuple[Replacement, ...]:
    def insist(_: Any, rung: Any, devices: int, host: int) -> MemoryRequest:
        size = rung.bytes * 9 // 10 if rung.alone else rung.bytes
        return MemoryRequest(size, devices, exclusive=rung.alone, host_bytes=host)

    return instead(Admission, "_on_rung", lambda _: insist)


@bug("a lack of the host's memory is answered only if nothing else was lacking before")
def _host_not_tried_alone() -> tuple[Replacement, ...]:
    def make(after: Any) -> Any:
        def counted(self: Any, failure: Any, lease: Any, tries: int) -> Any:
            over = failure.cause is MemoryCause.HOST and tries > 0
            return None if over else after(self, failure, lease, tries)

        return counted

    return instead(Admission, "after", make)


# ── predictions ────────────────────────────────────────────────────────────


@bug("a trial is refused when its prediction fits nowhere, however wrong that may be")
def _prediction_refuses() -> tuple[Replacement, ...]:
    return instead(Admission, "_at_least", lambda _: lambda _, __, guess: guess.bytes)
