"""Does a request fit, and where: a pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpu.bytesize import format_bytes

__all__ = (
    "DeviceState",
    "MemoryRequest",
    "NeverFits",
    "NotNow",
    "Placement",
    "PlacementDecision",
    "best_fit",
)


@dataclass(frozen=True, slots=True)
class MemoryRequest:
    """What a holder needs.

    Attributes:
        bytes: Memory on each device.
        devices: How many devices.
        exclusive: Whether nobody else may be on them.
    """

    bytes: int
    devices: int = 1
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A device as placement sees it.

    Attributes:
        uuid: Which device.
        capacity: What could be given out if it were empty.
        available: What can be given out now.
        leases: How many leases are on it.
        closed: Whether nothing more may be put on it (exclusive, or out of order).
    """

    uuid: str
    capacity: int
    available: int
    leases: int = 0
    closed: bool = False


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
    """Choose the devices on which a request leaves the least memory unused.

    So small requests gather on small or partly filled devices, and large
    devices stay whole for large requests.
    """
    able = [s for s in states if s.capacity >= request.bytes]
    if len(able) < request.devices:
        largest = max((s.capacity for s in states), default=0)
        return NeverFits(
            f"{request.devices} device(s) with {format_bytes(request.bytes)} are needed; there are "
            f"{len(able)}, and the largest of {len(states)} can give {format_bytes(largest)}."
        )
    free = [s for s in able if _fits_now(request, s)]
    if len(free) < request.devices:
        return NotNow(
            f"{len(free)} of {request.devices} device(s) have {format_bytes(request.bytes)} free now."
        )
    free.sort(key=lambda s: (s.available - request.bytes, s.uuid))
    return Placement(tuple(s.uuid for s in free[: request.devices]))


def _fits_now(request: MemoryRequest, state: DeviceState) -> bool:
    if state.closed or state.available < request.bytes:
        return False
    return not (request.exclusive and state.leases)
