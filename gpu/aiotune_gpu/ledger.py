"""Who holds how much: what was promised, against what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aiotune_gpu.bytesize import MIB, format_bytes
from aiotune_gpu.claims import Claim
from aiotune_gpu.device import ComputeMode, Device, DeviceMemory
from aiotune_gpu.errors import LeaseError
from aiotune_gpu.placement import (
    DeviceState,
    MemoryRequest,
    NeverFits,
    NotNow,
    Placement,
    PlacementDecision,
    best_fit,
)

__all__ = ("Lease", "LeaseLedger", "usual_reserve")

_UNLIMITED = 1 << 62


def usual_reserve(total: int) -> int:
    """Return what of a device is better never given out: 512 MiB or 3 %, whichever is more."""
    return max(512 * MIB, total * 3 // 100)


@dataclass(frozen=True, slots=True)
class Lease:
    """A promise of memory on devices and of the host, until it is given back.

    Attributes:
        number: Unique within its ledger.
        holder: Whoever it is for; opaque.
        uuids: The devices; empty if it is about the host alone.
        bytes: Memory promised on each device.
        exclusive: Whether nobody else may be there.
        host_bytes: Memory of the host.
    """

    number: int
    holder: str
    uuids: tuple[str, ...]
    bytes: int
    exclusive: bool = False
    host_bytes: int = 0


@dataclass(slots=True)
class _Account:
    """One device's memory, or the host's.

    What others use is not told; it is inferred. Where it is known how much
    each holder uses, the rest of what is used is others'. Where it is not, as
    in most containers, a holder may have taken anything up to its promise; but
    what was in use before the first lease was granted was nobody's of ours. What other
    searches claim they may take yet; what they have taken already is measured.
    """

    total: int
    reserve: int
    most: int = _UNLIMITED
    kept: int = 0
    foreign: int = 0
    least: int = _UNLIMITED
    over: int = 0
    before: int = 0
    promised: dict[int, int] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)

    @property
    def capacity(self) -> int:
        return max(0, self.total - self.reserve - self.kept)

    @property
    def given(self) -> int:
        return sum(self.promised.values())

    @property
    def available(self) -> int:
        return max(0, self.capacity - self.given - self.foreign - self.over)

    @property
    def claimed(self) -> int:
        return sum(claim.bytes for claim in self.claims)

    @property
    def expected(self) -> int:
        return max(self.foreign, self.claimed)

    @property
    def guests(self) -> int:
        # Less may be a desktop's, a monitor's or the driver's.
        return max(len(self.claims), self.foreign > usual_reserve(self.total))

    def measure(self, used: int, own: Mapping[int, int]) -> None:
        known = {number: own[number] for number in self.promised if number in own}
        silent = sum(size for number, size in self.promised.items() if number not in known)
        others = max(0, used - sum(known.values()))
        self.before = min(self.before, others) if self.promised else others
        self.foreign = max(self.before, others - silent)
        # Beside a lease it is inferred, and may be too little for a moment. What another search
        # holds is given back some day, however long it has been there.
        if not self.promised and not self.claims:
            self.least = min(self.least, others)
        self.over = sum(max(0, size - self.promised[number]) for number, size in known.items())


class LeaseLedger:
    """Grants leases that together never exceed a device's capacity, nor the host's.

    Args:
        devices: What there is. On one in exclusive mode there is one lease at a time, and
            on one whose memory is the host's, where nothing tells who has what of it.
        reserve: Bytes of each device that are never given out; default
            :func:`usual_reserve` of it.
        most: How many leases may be on one device at once; default any number.
        host: Bytes of the host's memory that can be given out; ``None``: any amount.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        *,
        reserve: int | None = None,
        most: int | None = None,
        host: int | None = None,
    ) -> None:
        self._accounts = {
            d.uuid: _Account(
                d.total_bytes,
                usual_reserve(d.total_bytes) if reserve is None else reserve,
                1 if _takes_one(d) else most or _UNLIMITED,
            )
            for d in devices
        }
        self._host = _Account(_UNLIMITED if host is None else host, 0)
        self._exclusive = {d.uuid for d in devices if _takes_one(d)}
        self._away: set[str] = set()
        self._broken: set[str] = set()
        self._kept_for: dict[str, str] = {}
        self._leases: dict[int, Lease] = {}
        self._alone: str | None = None
        self._known: frozenset[str] = frozenset()
        self._next = 0

    # ── asking and giving back ─────────────────────────────────────────────

    @property
    def leases(self) -> tuple[Lease, ...]:
        """What is held now."""
        return tuple(self._leases.values())

    def request(self, holder: str, request: MemoryRequest) -> Lease | NotNow | NeverFits:
        """Grant a request if it fits now; else return why not."""
        decision = self.decide(holder, request)
        if not isinstance(decision, Placement):
            return decision
        return self.grant(holder, request, decision)

    def decide(self, holder: str, request: MemoryRequest) -> PlacementDecision:
        """Return where a request fits now, or why nowhere; nothing is promised."""
        if not request.devices and (waits_for := self._in_the_way(request)):
            return NotNow(f"{waits_for} must end first, since one of the two wants the host alone.")
        decision = best_fit(request, self.states(holder))
        if not isinstance(decision, Placement) or not request.host_bytes:
            return decision
        if request.host_bytes <= self._host.available:
            return decision
        # What the host can give changes with what others do, and a holder that
        # is alone may as well try: memory of the host can be swapped.
        if not self._leases:
            return decision
        return NotNow(
            f"{format_bytes(request.host_bytes)} of the host's memory are needed, and "
            f"{format_bytes(self._host.available)} are free now."
        )

    def _in_the_way(self, request: MemoryRequest) -> str | None:
        """Return who holds the host alone; or anybody, if the request wants it alone."""
        if self._alone is not None:
            return self._alone
        here = (lease.holder for lease in self._leases.values() if not lease.uuids)
        return next(here, None) if request.exclusive else None

    def grant(self, holder: str, request: MemoryRequest, placement: Placement) -> Lease:
        """Promise memory.

        Raises:
            LeaseError: It would be over the capacity of a device, or would
                share a device that was asked for alone.
        """
        states = {state.uuid: state for state in self.states(holder)}
        for uuid in placement.uuids:
            _check(holder, request, uuid, states.get(uuid))
        size = max((request.on(uuid) for uuid in placement.uuids), default=0)
        if request.exclusive and placement.uuids:
            size = min(states[uuid].available for uuid in placement.uuids)
        lease = Lease(
            self._next, holder, placement.uuids, size, request.exclusive, request.host_bytes
        )
        self._next += 1
        self._leases[lease.number] = lease
        if lease.exclusive and not lease.uuids:
            self._alone = holder
        for account in self._touched(lease):
            account.promised[lease.number] = size
        self._host.promised[lease.number] = request.host_bytes
        self.unkeep(holder)
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
        if lease.exclusive and not lease.uuids:
            self._alone = None
        for account in (*self._touched(lease), self._host):
            del account.promised[lease.number]

    def keep(self, holder: str, request: MemoryRequest) -> tuple[str, ...]:
        """Put nothing of others on the devices that will first have room for a request.

        For one that has waited so long that smaller ones would starve it.
        Ends with its grant, or with :meth:`unkeep`.

        Returns:
            The devices; empty if there are too few, or some are kept for somebody already.
        """
        if self._kept_for:
            return ()
        states = (s for s in self.states() if not s.broken and not s.away)
        able = [s for s in states if s.capacity >= request.on(s.uuid)]
        able.sort(key=lambda s: (s.leases, -s.available, s.uuid))
        chosen = tuple(s.uuid for s in able[: request.devices])
        if len(chosen) < request.devices:
            return ()
        self._kept_for = dict.fromkeys(chosen, holder)
        return chosen

    def unkeep(self, holder: str) -> None:
        """Let others have again what was kept for a holder."""
        self._kept_for = {u: h for u, h in self._kept_for.items() if h != holder}

    # ── what is measured ───────────────────────────────────────────────────

    def measure(
        self, uuid: str, memory: DeviceMemory, own: Mapping[int, int] | None = None
    ) -> None:
        """Take in what a device says.

        Args:
            uuid: The device.
            memory: Its memory now.
            own: What holders use of it now, by number of their lease, as far as it is known.
        """
        account = self._accounts.get(uuid)
        if account is not None:
            account.kept = memory.reserved
            account.measure(memory.used, own or {})

    def measure_host(self, available: int, own: Mapping[int, int] | None = None) -> None:
        """Take in what the host has free now, and what holders use of it, as far as it is known."""
        self._host.measure(max(0, self._host.total - available), own or {})

    def heed(self, claims: Sequence[Claim]) -> None:
        """Take in what other searches of this host claim now, of any devices.

        A claim makes a device the less eligible, and its bytes are left free as long
        as anything is held here. A holder that would be the only one may try
        with what is measured to be free, so nobody's claim is waited for for ever.
        """
        self._known = frozenset(claim.name for claim in claims)
        for uuid, account in self._accounts.items():
            account.claims = [claim for claim in claims if claim.uuid == uuid]

    @property
    def known(self) -> frozenset[str]:
        """Names of the claims that are heeded."""
        return self._known

    # ── devices ────────────────────────────────────────────────────────────

    def limit(self, uuid: str, most: int) -> None:
        """Change how many leases may be on a device at once; those that are there stay."""
        if uuid not in self._exclusive:
            self._accounts[uuid].most = most

    def close(self, uuid: str, *, may_return: bool = False) -> None:
        """Put nothing on a device any more; if it may return, what fits nowhere else waits for it."""
        (self._away if may_return else self._broken).add(uuid)
        self._kept_for = {u: h for u, h in self._kept_for.items() if u != uuid}

    def reopen(self, uuid: str) -> None:
        """Use a device again."""
        self._away.discard(uuid)
        self._broken.discard(uuid)

    @property
    def host(self) -> DeviceState:
        """The host's memory, as if it were a device."""
        host = self._host
        return DeviceState("host", host.capacity, host.available, len(self._leases))

    def states(self, holder: str | None = None) -> list[DeviceState]:
        """Return each device as placement sees it, for a holder."""
        return list(self._states(holder))

    def _states(self, holder: str | None) -> Iterator[DeviceState]:
        for uuid, account in self._accounts.items():
            alone = any(self._leases[number].exclusive for number in account.promised)
            yet = account.expected - account.foreign if self._leases else 0
            yield DeviceState(
                uuid,
                account.capacity,
                max(0, account.available - yet),
                leases=len(account.promised),
                most=account.most,
                closed=alone or self._kept_for.get(uuid, holder) != holder,
                away=uuid in self._away,
                broken=uuid in self._broken,
                others=0 if account.least == _UNLIMITED else account.least,
                promised=account.given,
                foreign=account.expected,
                guests=account.guests,
            )

    def _touched(self, lease: Lease) -> list[_Account]:
        return [self._accounts[uuid] for uuid in lease.uuids]


def _takes_one(device: Device) -> bool:
    return device.mode is ComputeMode.EXCLUSIVE or device.unified


def _check(holder: str, request: MemoryRequest, uuid: str, state: DeviceState | None) -> None:
    out_of_use = state is None or state.closed or state.away or state.broken
    if state is None or out_of_use or state.available < request.on(uuid):
        have = format_bytes(state.available) if state else "no such device"
        raise LeaseError(
            f"{holder} asks for {format_bytes(request.on(uuid))} on {uuid}, which has {have}."
        )
    if state.leases and (request.exclusive or state.leases >= state.most):
        raise LeaseError(
            f"{holder} asks for {uuid}{' alone' if request.exclusive else ''}, on which there are "
            f"{state.leases} lease(s), and {state.most} at most."
        )
