"""Who holds how much: what was promised, against what is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpu.bytesize import format_bytes
from gpu.device import Device, DeviceMemory
from gpu.errors import LeaseError
from gpu.placement import (
    DeviceState,
    MemoryRequest,
    Placement,
    PlacementDecision,
    best_fit,
)

__all__ = ("Lease", "LeaseLedger")


@dataclass(frozen=True, slots=True)
class Lease:
    """A promise of memory on devices, until it is given back.

    Attributes:
        number: Unique within its ledger.
        holder: Whoever it is for; opaque.
        uuids: The devices.
        bytes: Memory promised on each.
        exclusive: Whether nobody else may be there.
    """

    number: int
    holder: str
    uuids: tuple[str, ...]
    bytes: int
    exclusive: bool = False


class LeaseLedger:
    """Grants leases that together never exceed a device's capacity.

    Args:
        devices: What there is.
        reserve: Bytes of each device that are never given out.
    """

    def __init__(self, devices: Sequence[Device], *, reserve: int = 0) -> None:
        self._capacity = {d.uuid: max(0, d.total_bytes - reserve) for d in devices}
        self._foreign: dict[str, int] = dict.fromkeys(self._capacity, 0)
        self._closed: set[str] = set()
        self._leases: dict[int, Lease] = {}
        self._next = 0

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What is held now."""
        return tuple(self._leases.values())

    def request(self, holder: str, request: MemoryRequest) -> Lease | PlacementDecision:
        """Grant a request if it fits now; else return why not."""
        decision = best_fit(request, self.states())
        if not isinstance(decision, Placement):
            return decision
        return self.grant(holder, request, decision)

    def grant(self, holder: str, request: MemoryRequest, placement: Placement) -> Lease:
        """Promise memory.

        Raises:
            LeaseError: It would be over the capacity of a device, or would
                share a device that was asked for alone.
        """
        states = {state.uuid: state for state in self.states()}
        for uuid in placement.uuids:
            state = states.get(uuid)
            if state is None or state.closed or state.available < request.bytes:
                have = format_bytes(state.available) if state else "no such device"
                raise LeaseError(
                    f"{holder} asks for {format_bytes(request.bytes)} on {uuid}, which has {have}."
                )
            if request.exclusive and state.leases:
                raise LeaseError(
                    f"{holder} asks for {uuid} alone, on which there are {state.leases} lease(s)."
                )
        lease = Lease(
            self._next, holder, placement.uuids, request.bytes, exclusive=request.exclusive
        )
        self._next += 1
        self._leases[lease.number] = lease
        return lease

    def release(self, lease: Lease) -> None:
        """Take a lease back.

        Raises:
            LeaseError: It was given back before, or was never granted here.
        """
        if self._leases.get(lease.number) != lease:
            raise LeaseError(
                f"Lease {lease.number} of {lease.holder} was given back twice, or is another ledger's."
            )
        del self._leases[lease.number]

    def reconcile(self, measured: Mapping[str, DeviceMemory]) -> None:
        """Take in what devices say: memory in use beyond what was promised is somebody else's."""
        for uuid, memory in measured.items():
            if uuid in self._capacity:
                used = memory.used + memory.reserved
                self._foreign[uuid] = max(0, used - self._promised(uuid))

    def close(self, uuid: str) -> None:
        """Put nothing more on a device."""
        self._closed.add(uuid)

    def reopen(self, uuid: str) -> None:
        """Use a device again."""
        self._closed.discard(uuid)

    def states(self) -> list[DeviceState]:
        """Return each device as placement sees it."""
        return [self._state(uuid) for uuid in self._capacity]

    def _state(self, uuid: str) -> DeviceState:
        capacity = self._capacity[uuid]
        here = [lease for lease in self._leases.values() if uuid in lease.uuids]
        return DeviceState(
            uuid,
            capacity,
            max(0, capacity - self._promised(uuid) - self._foreign[uuid]),
            leases=len(here),
            closed=uuid in self._closed or any(lease.exclusive for lease in here),
        )

    def _promised(self, uuid: str) -> int:
        return sum(lease.bytes for lease in self._leases.values() if uuid in lease.uuids)
