"""Asks devices and the host, off the loop, what memory is in use and whether they are well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from aiotune import _host
from aiotune._gpu import (
    MIB,
    ApplicationFault,
    Broken,
    DeviceFault,
    DeviceLost,
    DeviceMemory,
    DeviceProvider,
    GpuError,
    Healthy,
    describe_xid,
    format_bytes,
    verdict,
)
from aiotune.scheduler._commands import DeviceBroke, Measurement

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True)
class Findings:
    """One look.

    Attributes:
        measured: What devices and host said of their memory.
        broken: Devices that are out of order.
        back: Devices that were, since they did not answer or had not got their memory back, and are not now.
        faults: What went wrong on devices that are not, as (UUID, what).
    """

    measured: Measurement
    broken: tuple[DeviceBroke, ...] = ()
    back: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Answers:
    memory: dict[str, DeviceMemory] = field(default_factory=dict)
    processes: dict[str, dict[int, int | None]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


class DeviceWatch:
    """Looks at the devices of a search and at the host.

    Args:
        resources: The devices, and whom to ask.
        offload: Runs the questions in the lane ``nvml``: each takes milliseconds,
            and a sick driver takes seconds.
        free_ram: Tells how many bytes the host can still give.
    """

    def __init__(
        self,
        resources: Resources,
        offload: Offloader,
        *,
        free_ram: Callable[[], int] = _host.available_ram,
    ) -> None:
        self._resources, self._offload, self._free_ram = resources, offload, free_ram
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
        pids = {trial_id: r.pid for trial_id, r in running.items() if r.pid is not None}
        answers = await self._offload.run("nvml", self._ask, uuids, only is None)
        own = {uuid: _own(answers, uuid, running) for uuid in answers.memory}
        free, host_own = None, dict[str, int]()
        if host:
            free, host_own = await self._offload.run("nvml", self._ask_host, pids)
        left = self._not_given_back(answers, running)
        broken = answers.silent | left | answers.broken
        self._given_up.update(broken)
        self._silent.update(answers.silent)
        self._may_return |= {uuid: 1 for uuid in broken if uuid not in answers.broken}
        back, hopeless = await self._returned() if only is None else ((), ())
        return Findings(
            Measurement(answers.memory, own, free, host_own),
            (*(DeviceBroke(u, why, u in self._may_return) for u, why in broken.items()), *hopeless),
            back,
            tuple(answers.faults),
        )

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
        answers = await self._offload.run("nvml", self._ask, asked, False)
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
                answers.memory[uuid] = provider.memory(uuid)
                listed = provider.processes(uuid)
                answers.processes[uuid] = {p.pid: p.used for p in listed}
                self._unanswered.pop(uuid, None)
            except DeviceLost as error:
                answers.broken[uuid] = str(error)
            except GpuError as error:
                if thoroughly:  # a trial's end asks, too, and many end at once
                    self._no_answer(uuid, error, answers)
            if thoroughly:
                _examine(provider, uuid, faults.get(uuid, []), answers)
        return answers

    def _no_answer(self, uuid: str, error: GpuError, answers: _Answers) -> None:
        # Once may be the driver's bad moment; the last answer stands until then.
        self._unanswered[uuid] = self._unanswered.get(uuid, 0) + 1
        if self._unanswered[uuid] >= _PATIENCE:
            answers.silent[uuid] = (
                f"The driver did not answer {_PATIENCE} times: {error} When it does, the device gets trials again."
            )

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
        return  # that it does not answer is counted where its memory is asked for
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
