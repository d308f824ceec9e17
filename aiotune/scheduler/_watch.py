"""Asks devices and the host, off the loop, what memory is in use and whether they are well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

import anyio

from aiotune import _host
from aiotune._clock import SystemClock
from aiotune._gpu import (
    MIB,
    ApplicationFault,
    Broken,
    DeviceFault,
    DeviceLost,
    DeviceMemory,
    DeviceProvider,
    DriverHangs,
    GpuError,
    Healthy,
    describe_xid,
    format_bytes,
    verdict,
)
from aiotune._offload import Overdue
from aiotune.scheduler._commands import DeviceBroke, DeviceHeld, Measurement

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune._devices import Resources
    from aiotune._offload import Offloader
    from aiotune.scheduler._attempts import Running

__all__ = ("DeviceWatch", "Findings")

_LEFT_BEHIND = 256 * MIB
"""Less than this may be what the driver itself keeps."""
_PATIENCE = 30
"""Looks in a row without an answer, or at memory that nobody seems to hold, before a device is given up."""
_ASK_AGAIN = 5
"""Looks between two questions to a device that was given up for one of these."""
_GIVE_UP = 120
"""Such questions before nobody waits for it any more; it is asked on all the same."""
_END, _HOST = 0.5, 10.0
_LOOK, _OF_EACH = 20.0, 10.0
"""Seconds that a look may take: a trial's end has better things to do than to wait for a driver. The
provider has deadlines of its own; this one is for what keeps it from asking at all."""


@dataclass(frozen=True, slots=True)
class Findings:
    """One look.

    Attributes:
        measured: What devices and host said of their memory.
        held: Devices that have not answered, and those that had not and do again.
        hanging: Devices whose driver has not returned from a call, told once: (UUID, what, seconds
            since it answered last, or ``None`` if it never did).
        broken: Devices that are out of order.
        back: Devices that were, since they did not answer or had not got their memory back, and are not now.
        faults: What went wrong on devices that are not, as (UUID, what).
    """

    measured: Measurement
    held: tuple[DeviceHeld, ...] = ()
    hanging: tuple[tuple[str, str, float | None], ...] = ()
    broken: tuple[DeviceBroke, ...] = ()
    back: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Answers:
    memory: dict[str, DeviceMemory] = field(default_factory=dict)
    processes: dict[str, dict[int, int | None]] = field(default_factory=dict)
    utilization: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    failed: dict[str, GpuError] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


class DeviceWatch:
    """Looks at the devices of a search and at the host.

    Args:
        resources: The devices, and whom to ask.
        offload: Runs the questions in the lane ``nvml``: each takes milliseconds,
            and a sick driver takes seconds, or never returns.
        free_ram: Tells how many bytes the host can still give.
        clock: Tells how old an answer is.

    Until a device has answered what it was asked since its last trial ended, it gets no other one: what
    was measured before stands, and may be what that trial had.
    """

    def __init__(
        self,
        resources: Resources,
        offload: Offloader,
        *,
        free_ram: Callable[[], int] = _host.available_ram,
        clock: Clock | None = None,
    ) -> None:
        self._resources, self._offload, self._free_ram = resources, offload, free_ram
        self._clock = clock or SystemClock()
        self._looks = 0
        self._held: dict[str, int] = {}  # the last look that had begun when it was
        self._hanging: set[str] = set()
        self._answered: dict[str, float] = {}
        self._idle: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._unanswered: dict[str, int] = {}
        self._tells: set[str] = set()
        self._given_up: set[str] = set()
        self._silent: set[str] = set()
        self._may_return: dict[str, int] = {}  # looks since the device was given up

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._resources.devices) or self._resources.host_bytes is not None

    async def look(
        self, running: Mapping[str, Running], only: Collection[str] | None = None
    ) -> Findings:
        """Ask devices, and the host too if it is about all of them.

        Args:
            running: The attempts under way.
            only: UUIDs of the devices to ask; default all that are not broken.
        """
        uuids = [d.uuid for d in self._resources.devices if only is None or d.uuid in only]
        uuids = [uuid for uuid in uuids if uuid not in self._given_up]
        host = only is None and self._resources.host_bytes is not None
        if not (uuids or host or (only is None and self._may_return)):
            return Findings(Measurement())
        self._looks, number = self._looks + 1, self._looks + 1
        answers = await self._answers(uuids, thoroughly=only is None)
        if only is None:
            _note_work(answers, running)
        own = {uuid: _own(answers, uuid, running) for uuid in answers.memory}
        free, host_own = await self._of_host(running) if host else (None, {})
        held = self._hold(answers, number)
        hanging = self._newly_hanging(answers) if only is None else ()
        left = self._not_given_back(answers, running)
        silent = self._silent_for_long(answers) if only is None else {}
        broken = self._newly(silent | left | answers.broken)
        self._given_up.update(broken)
        self._held = {uuid: look for uuid, look in self._held.items() if uuid not in broken}
        self._silent.update(uuid for uuid in silent if uuid in broken)
        self._may_return |= {uuid: 1 for uuid in broken if uuid not in answers.broken}
        back, hopeless = await self._returned() if only is None else ((), ())
        return Findings(
            Measurement(answers.memory, own, free, host_own, answers.utilization),
            held,
            hanging,
            (*(DeviceBroke(u, why, u in self._may_return) for u, why in broken.items()), *hopeless),
            back,
            tuple(answers.faults),
        )

    def age(self, uuid: str) -> float | None:
        """Return how many seconds ago a device answered last; ``None``: never."""
        at = self._answered.get(uuid)
        return None if at is None else self._clock.monotonic() - at

    async def _answers(self, uuids: list[str], *, thoroughly: bool) -> _Answers:
        within = _LOOK + _OF_EACH * len(uuids) if thoroughly else _END
        what = "Asking the GPUs' driver"
        try:
            answers = await self._offload.run(
                "nvml", self._ask, uuids, thoroughly, deadline=within, what=what
            )
        except Overdue as error:
            return _Answers(failed=dict.fromkeys(uuids, DriverHangs(error.message)))
        self._answered |= dict.fromkeys(answers.memory, self._clock.monotonic())
        for uuid in answers.memory:
            self._unanswered.pop(uuid, None)
        return answers

    async def _of_host(self, running: Mapping[str, Running]) -> tuple[int | None, dict[str, int]]:
        pids = {trial_id: r.pid for trial_id, r in running.items() if r.pid is not None}
        try:
            return await self._offload.run("host", self._ask_host, pids, deadline=_HOST)
        except Overdue:
            return None, {}  # the last measurement stands

    def _hold(self, answers: _Answers, number: int) -> tuple[DeviceHeld, ...]:
        """Keep new trials off devices that have not answered, until a look that begins later has an answer."""
        silent = [uuid for uuid in answers.failed if uuid not in self._given_up]
        newly = [uuid for uuid in silent if uuid not in self._held]
        self._held |= dict.fromkeys(silent, self._looks)
        freed = [uuid for uuid in answers.memory if self._held.get(uuid, number) < number]
        for uuid in freed:
            del self._held[uuid]
        return (
            *(DeviceHeld(uuid, held=True) for uuid in newly),
            *(DeviceHeld(uuid, held=False) for uuid in freed),
        )

    def _newly(self, found: dict[str, str]) -> dict[str, str]:
        """Leave out what others have found broken while this look went on: a device is broken once."""
        return {uuid: why for uuid, why in found.items() if uuid not in self._given_up}

    def _newly_hanging(self, answers: _Answers) -> tuple[tuple[str, str, float | None], ...]:
        self._hanging -= answers.memory.keys()
        failed = answers.failed.items()
        hangs = {u: str(e) for u, e in failed if isinstance(e, DriverHangs)}
        newly = tuple((u, why, self.age(u)) for u, why in hangs.items() if u not in self._hanging)
        self._hanging.update(hangs)
        return newly

    async def _returned(self) -> tuple[tuple[str, ...], tuple[DeviceBroke, ...]]:
        """Ask devices again, now and then, that were silent or whose memory only was not given back.

        Returns:
            Those that can be used, and those that nobody should wait for any longer.
        """
        asked = [uuid for uuid, looks in self._may_return.items() if looks % _ASK_AGAIN == 0]
        for uuid in self._may_return:
            self._may_return[uuid] += 1
        if not asked:
            return (), ()
        answers = await self._answers(asked, thoroughly=True)
        back = tuple(
            uuid
            for uuid in asked
            if uuid in answers.memory
            and (
                uuid in self._silent or answers.memory[uuid].used <= self._idle[uuid] + _LEFT_BEHIND
            )
        )
        late = _ASK_AGAIN * _GIVE_UP
        hopeless = [u for u in asked if u not in back and self._may_return[u] == late + 1]
        for uuid in back:
            del self._may_return[uuid]
            self._left.pop(uuid, None)
            self._given_up.discard(uuid)
            self._silent.discard(uuid)
        return back, tuple(DeviceBroke(uuid, self._too_late(uuid)) for uuid in hopeless)

    def _too_late(self, uuid: str) -> str:
        what = "It did not answer" if uuid in self._silent else "Its memory was not given back"
        return f"{what} within ten minutes."  # one look a second

    def held_by(self, pid: int) -> dict[str, int | None]:
        """Return what a process holds of each device; blocking. ``None``: the driver does not tell."""
        provider = self._resources.provider
        held: dict[str, int | None] = {}
        for device in self._resources.devices if provider is not None else ():
            assert provider is not None
            try:
                processes = provider.processes(device.uuid)
            except GpuError:
                continue  # the first regular look will say what is wrong with it
            mine = [process.used for process in processes if process.pid == pid]
            if mine:
                held[device.uuid] = mine[0]
        return held

    # ── blocking questions ─────────────────────────────────────────────────

    def _ask(self, uuids: list[str], thoroughly: bool) -> _Answers:
        answers = _Answers()
        provider = self._resources.provider
        if provider is None:
            return answers
        faults = _new_faults(provider) if thoroughly and uuids else {}
        for uuid in uuids:
            try:
                memory, listed = provider.memory(uuid), provider.processes(uuid)
                answers.memory[uuid] = memory
                answers.processes[uuid] = {p.pid: p.used for p in listed}
            except DeviceLost as error:
                answers.broken[uuid] = str(error)
            except GpuError as error:
                answers.failed[uuid] = error
            if thoroughly:
                _examine(provider, uuid, faults.get(uuid, []), answers)
        return answers

    def _silent_for_long(self, answers: _Answers) -> dict[str, str]:
        """Count looks without an answer: once may be the driver's bad moment, and the last answer stands."""
        silent = {}
        for uuid, error in answers.failed.items():
            self._unanswered[uuid] = self._unanswered.get(uuid, 0) + 1
            if self._unanswered[uuid] >= _PATIENCE:
                silent[uuid] = (
                    f"The driver did not answer {_PATIENCE} times: {error} When it does, the device gets trials again."
                )
        return silent

    def _ask_host(self, pids: Mapping[str, int]) -> tuple[int, dict[str, int]]:
        own = {trial_id: _host.private_bytes(pid) for trial_id, pid in pids.items()}
        return self._free_ram(), {t: size for t, size in own.items() if size is not None}

    # ── what the answers mean ──────────────────────────────────────────────

    def _not_given_back(self, answers: _Answers, running: Mapping[str, Running]) -> dict[str, str]:
        """Find devices whose memory stays in use although no process is there to hold it."""
        busy = {uuid for r in running.values() for uuid in r.lease.uuids}
        for attempt in running.values():
            here = (u for u in attempt.lease.uuids if attempt.pid in answers.processes.get(u, {}))
            self._tells.update(here)
        broken = {}
        for uuid, memory in answers.memory.items():
            if uuid in busy or self._resources.device(uuid).unified:  # all of the host's is there
                self._left.pop(uuid, None)
                continue
            before = self._idle.setdefault(uuid, memory.used)
            # Where the driver never listed a process of ours, as in most
            # containers, it does not list others' either: it may be theirs.
            if (
                uuid not in self._tells
                or memory.used <= before + _LEFT_BEHIND
                or answers.processes.get(uuid)
            ):
                self._idle[uuid] = min(before, memory.used)
                self._left.pop(uuid, None)
                continue
            self._left[uuid] = self._left.get(uuid, 0) + 1
            if self._left[uuid] >= _PATIENCE:
                size = format_bytes(memory.used - before)
                broken[uuid] = (
                    f"{size} of its memory were not given back when the last process on it ended; "
                    "when they are, it gets trials again."
                )
        return broken


def _new_faults(provider: DeviceProvider) -> dict[str, list[DeviceFault]]:
    """Return the faults since the last look, without waiting for any."""
    try:
        faults = provider.faults(0.0)
    except GpuError:
        return {}  # the devices' own silence tells the rest
    by_device: dict[str, list[DeviceFault]] = {}
    for fault in faults:
        by_device.setdefault(fault.uuid, []).append(fault)
    return by_device


def _examine(
    provider: DeviceProvider, uuid: str, faults: list[DeviceFault], answers: _Answers
) -> None:
    """Note what a device's health and its faults mean."""
    try:
        health = provider.health(uuid)
    except GpuError:
        return  # that it does not answer is seen where its memory is asked for
    if health.utilization is not None:
        answers.utilization[uuid] = health.utilization
    asked: list[DeviceFault | None] = [*faults] or [None]
    for fault in asked:
        match verdict(health, fault):
            case Broken(reason):
                answers.broken.setdefault(uuid, f"{reason[:1].upper()}{reason[1:]}.")
            case ApplicationFault(xid):
                answers.faults.append((uuid, describe_xid(xid)))
            case Healthy():
                pass
            case never:
                assert_never(never)


def _note_work(answers: _Answers, running: Mapping[str, Running]) -> None:
    """Remember of each attempt on devices whether these work: what its patience wants to know."""
    for attempt in running.values():
        told = (answers.utilization.get(uuid) for uuid in attempt.lease.uuids)
        attempt.device.note(told, anyio.current_time())


def _own(answers: _Answers, uuid: str, running: Mapping[str, Running]) -> dict[str, int]:
    """Return what trials use of a device: as the driver tells, or else as they report themselves."""
    own: dict[str, int] = {}
    for trial_id, attempt in running.items():
        if uuid not in attempt.lease.uuids:
            continue
        told = answers.processes.get(uuid, {}).get(attempt.pid or -1)
        if told is not None:
            attempt.driver_bytes = max(attempt.driver_bytes, told)
            own[trial_id] = told
        elif attempt.peak is not None:
            own[trial_id] = attempt.peak.reserved
    return own
