"""Bugs of choosing among devices that others use as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement
from aiotune_gpu import HostClaims
from aiotune_gpu import ledger as _ledger

__all__ = ()


@bug("the device is preferred of which others have left least")
def _busiest_preferred() -> tuple[Replacement, ...]:
    def make(best_fit: Any) -> Any:
        def greedy(request: Any, states: Any) -> Any:
            blind = [replace(s, guests=0, promised=0, foreign=s.available) for s in states]
            return best_fit(request, blind)

        return greedy

    return instead(_ledger, "best_fit", make)


@bug("what another search claims is known, and makes a device no less eligible")
def _claims_ignored() -> tuple[Replacement, ...]:
    def heed(self: Any, claims: Any) -> None:
        self._known = frozenset(claim.name for claim in claims)

    return instead(_ledger.LeaseLedger, "heed", lambda _: heed)


@bug("a claim of a search that was killed counts for ever")
def _dead_claims_count() -> tuple[Replacement, ...]:
    from aiotune_gpu import claims

    return instead(claims, "_is_held", lambda _: lambda _: True)


@bug("a claim that was made while a device was chosen is not looked at")
def _late_claims_ignored() -> tuple[Replacement, ...]:
    def make(claim: Any) -> Any:
        def hasty(self: Any, holder: str, uuids: Any, size: int, _: Any) -> Any:
            return claim(self, holder, uuids, size, {c.name for c in self.others()})

        return hasty

    return instead(HostClaims, "claim", make)
