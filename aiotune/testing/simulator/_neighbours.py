"""Other searches of the simulated host, which claim GPUs, end or are killed; and who is put beside whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiotune._devices import Resources
from aiotune.testing.simulator._devices import SimDevices
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._world import World
from aiotune_gpu import Claim, HostClaims

__all__ = ("Neighbours",)

_STAY = (10.0, 40.0, 200.0)
"""Seconds that another search holds a device."""
_SEEN_AFTER = 3.0
"""Seconds after which the tuner must have seen what became of others: it looks once a second."""


class Neighbours:
    """All searches of the host in one life of the tuner, its own among them.

    Args:
        world: Takes what is wrong.
        devices: What they share.
        folder: Where they meet; real files, in memory.

    Attributes:
        claims: The tuner's own.
    """

    def __init__(self, world: World, devices: SimDevices, folder: Path) -> None:
        self._world, self._devices, self._folder = world, devices, folder
        self._others: dict[HostClaims, str] = {}
        self._left: dict[str, float] = {}
        self.claims = _WatchedClaims(folder, world, self)
        self._chosen_from: dict[str, dict[str, int]] = {}

    def resources(self) -> Resources:
        """Return what the tuner's search has to run on, and what it shows of it."""
        found = self._devices.resources()
        return replace(found, claims=self.claims) if found.devices else found

    def suffer(self) -> None:
        """Let another search begin on some device."""
        world, devices = self._world, self._devices
        numbers = world.plan.numbers("neighbour", world.life, world.monotonic())
        able = [d for d in devices.provider.present if d.uuid not in devices.lost]
        if not able:
            return
        device = numbers.choice(able)
        world.strike(Fault.ANOTHER_SEARCH, "devices", device.uuid)
        size = int(numbers.uniform(0.1, 0.6) * device.total_bytes)
        other = HostClaims(self._folder)
        other.claim("0", [device.uuid], size, {claim.name for claim in other.others()})
        self._others[other] = device.uuid
        takes = numbers.choice((0, size // 2))  # what it has not taken yet no driver tells
        devices.let_others_take(device.uuid, takes)
        killed = numbers.random() < 0.5  # noqa: PLR2004
        stays = numbers.choice(_STAY)
        world.running.call_later(stays, self._ends, other, device.uuid, takes, killed)

    def _ends(self, other: HostClaims, uuid: str, size: int, killed: bool) -> None:
        self._world.say(
            "devices", f"the other search on {uuid} {'is killed' if killed else 'ends'}"
        )
        del self._others[other]
        self._left[uuid] = self._world.monotonic()
        if killed:
            other.let_go()  # its file stays
        else:
            other.close()
        self._devices.let_others_take(uuid, -size)

    def bury(self) -> None:
        """Let the kernel do what it does when all these programs are gone."""
        for claims in (self.claims, *self._others):
            claims.let_go()

    # ── what must hold ─────────────────────────────────────────────────────

    def watch(self, ledger: Any) -> None:
        """Note of each choice, in its moment, how many of ours are on each device that can be used."""
        grant = ledger.grant

        def noted(holder: str, request: Any, placement: Any) -> Any:
            states = (s for s in ledger.states(holder) if not (s.closed or s.away or s.broken))
            self._chosen_from[holder] = {state.uuid: state.leases for state in states}
            return grant(holder, request, placement)

        ledger.grant = noted

    def placed(self, holder: str, uuids: Sequence[str]) -> None:
        """Check that an attempt is put beside nobody while a device of the kind is idle.

        Args:
            holder: The trial.
            uuids: Its devices.
        """
        self._world.judged["placed"] += 1
        ours, theirs = self._chosen_from[holder], Counter(self._others.values())
        idle = {u for u in ours if not (ours[u] or theirs[u] or self._devices.others_hold(u))}
        idle = {u for u in idle if self._was_seen(u)} - self._devices.lost
        for uuid in uuids:
            beside = ours[uuid] + theirs[uuid] + self._has_strangers(uuid)
            better = sorted(idle.intersection(self._like(uuid)).difference(uuids))
            self._world.judged["placed beside an idle device"] += bool(better)
            if beside and better:
                self._world.wrong(
                    "I46", f"an attempt is put on {uuid}, where there are {beside}; idle: {better}"
                )

    def _like(self, uuid: str) -> list[str]:
        sizes = {d.uuid: d.total_bytes for d in self._devices.provider.present}
        return [u for u, size in sizes.items() if size == sizes[uuid]]

    def _has_strangers(self, uuid: str) -> bool:
        return self._devices.others_hold(uuid) > 0 and self._was_seen(uuid)

    def _was_seen(self, uuid: str) -> bool:
        known = (self._devices.changed, self._left)
        since = self._world.monotonic() - max(k.get(uuid, -_SEEN_AFTER - 1) for k in known)
        return since > _SEEN_AFTER and self._devices.provider.unavailable is None


class _WatchedClaims(HostClaims):
    """The tuner's claims, looked at as they are made; a tuner that is dead has no effect."""

    def __init__(self, folder: Path, world: World, neighbours: Neighbours) -> None:
        super().__init__(folder)
        self._world, self._neighbours = world, neighbours

    def claim(
        self, holder: str, uuids: Sequence[str], size: int, known: Collection[str]
    ) -> Sequence[Claim]:
        if self._world.dead:
            return ()
        others = super().claim(holder, uuids, size, known)
        if not others:
            self._neighbours.placed(holder, uuids)
        return others

    def withdraw(self, holder: str) -> None:
        if not self._world.dead:
            super().withdraw(holder)

    def others(self) -> Sequence[Claim]:
        return () if self._world.dead else super().others()
