"""Does a request fit, and where: a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiotune_gpu.bytesize import format_bytes

__all__ = (
    "DeviceState",
    "MemoryRequest",
    "NeverFits",
    "NotNow",
    "Placement",
    "PlacementDecision",
    "best_fit",
)

_LIKE = 0.98
"""Of a device's size: so much of it makes a smaller one the same kind."""


@dataclass(frozen=True, slots=True)
class MemoryRequest:
    """What a holder needs.

    Attributes:
        bytes: Memory on each device.
        devices: How many devices; 0: only memory of the host.
        exclusive: Whether nobody else may be on them. It is given all that they have.
        host_bytes: Memory of the host.
        by_device: What it needs on a device, by UUID, where that is not ``bytes``.
    """

    bytes: int
    devices: int = 1
    exclusive: bool = False
    host_bytes: int = 0
    by_device: Mapping[str, int] = field(default_factory=dict)

    def on(self, uuid: str) -> int:
        """Return what it needs on a device."""
        return self.by_device.get(uuid, self.bytes)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A device as placement sees it.

    Attributes:
        uuid: Which device.
        capacity: What could be given out if it were empty.
        available: What can be given out now.
        leases: How many leases are on it.
        most: How many leases may be on it at once.
        closed: Whether nothing more may be put on it now (exclusive, or kept for somebody).
        away: Whether it is out of use, perhaps for a while only.
        broken: Whether nothing will ever be put on it again.
        others: What others have held of it all the time, at least.
        promised: What the leases on it may take.
        foreign: What others hold of it now, or have said that they will.
        guests: How many others are there: searches that say so, or else anybody who holds
            more than a desktop does.
    """

    uuid: str
    capacity: int
    available: int
    leases: int = 0
    most: int = 1 << 30
    closed: bool = False
    away: bool = False
    broken: bool = False
    others: int = 0
    promised: int = 0
    foreign: int = 0
    guests: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """It fits here, now."""

    uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotNow:
    """It fits, but not at present."""

    reason: str


@dataclass(frozen=True, slots=True)
class NeverFits:
    """It fits on no device, ever."""

    reason: str


PlacementDecision = Placement | NotNow | NeverFits


def best_fit(request: MemoryRequest, states: Sequence[DeviceState]) -> PlacementDecision:
    """Choose the devices of the fewest holders, and among these the smallest that are large enough.

    An idle device comes before one that is shared, with us or with strangers. How
    large a device is decides by what it has, never by what strangers have left of it:
    small requests go to small kinds of devices, and large devices stay whole for large
    requests. Of one kind, leases gather where ours are already, then where others
    hold the least, then in the order given.
    """
    able = [s for s in states if not s.broken and s.capacity >= request.on(s.uuid)]
    if len(able) < request.devices:
        return NeverFits(_too_large(request, states, len(able)))
    free = [s for s in able if _fits_now(request, s)]
    if len(free) < request.devices:
        away = sum(s.away for s in able)
        text = f"{len(free)} of {request.devices} device(s) have {format_bytes(request.bytes)} free now."
        return NotNow(f"{text} {away} more may come back into use." if away else text)
    kinds = _kinds(states)
    free.sort(key=lambda s: (s.leases + s.guests, kinds[s.uuid], -s.promised, s.foreign))
    return Placement(tuple(s.uuid for s in free[: request.devices]))


def _kinds(states: Sequence[DeviceState]) -> dict[str, int]:
    """Number the kinds of devices by size; two of a kind may differ by what their drivers keep."""
    kinds: dict[str, int] = {}
    kind, smallest = 0, 0
    for state in sorted(states, key=lambda s: s.capacity):
        if state.capacity * _LIKE > smallest:
            kind, smallest = kind + 1, state.capacity
        kinds[state.uuid] = kind
    return kinds


def _fits_now(request: MemoryRequest, state: DeviceState) -> bool:
    if state.closed or state.away or state.leases >= state.most:
        return False
    return state.available >= request.on(state.uuid) and not (request.exclusive and state.leases)


def _too_large(request: MemoryRequest, states: Sequence[DeviceState], able: int) -> str:
    usable = [s for s in states if not s.broken]
    largest = max((s.capacity for s in usable), default=0)
    broken = len(states) - len(usable)
    text = (
        f"{request.devices} device(s) with {format_bytes(request.bytes)} are needed; there are "
        f"{able}, and the largest of {len(usable)} can give {format_bytes(largest)}."
    )
    return f"{text} {broken} more are out of order." if broken else text
