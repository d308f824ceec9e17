"""Lets the other searches of this host see which devices attempts hold, and sees theirs; off the loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aiotune import logs
from aiotune._gpu import Claim, HostClaims, Lease

if TYPE_CHECKING:
    from aiotune._offload import Offloader

__all__ = ("Claiming",)

T = TypeVar("T")


class Claiming:
    """Makes and reads claims for the loop; where there can be none, there are none, and the log says so once.

    Args:
        claims: The host's; ``None``: this search has no devices, or is to be seen by nobody.
        offload: Runs what touches files, in a lane of its own.
        log: Takes the event.
    """

    def __init__(self, claims: HostClaims | None, offload: Offloader, log: Any) -> None:
        self._claims, self._offload, self._log = claims, offload, log
        self._told = False

    async def claim(self, lease: Lease, known: Collection[str]) -> Sequence[Claim]:
        """Claim the devices of a lease, unless others whom the lease does not reckon with have.

        Returns:
            All claims of others, if the lease's place has to be chosen again; else nothing.
        """
        claims = self._claims
        if claims is None or not lease.uuids:
            return ()
        return await self._ask(claims.claim, lease.holder, lease.uuids, lease.bytes, known)

    async def withdraw(self, lease: Lease) -> None:
        """Let others have the devices of a lease."""
        if self._claims is not None:
            await self._ask(self._claims.withdraw, lease.holder)

    async def others(self) -> Sequence[Claim]:
        """Return what others claim now."""
        return () if self._claims is None else await self._ask(self._claims.others)

    async def close(self) -> None:
        """Withdraw what is left."""
        if self._claims is not None:
            await self._ask(self._claims.close)

    async def _ask(self, function: Callable[..., T], *args: object) -> T:
        answer = await self._offload.run("claims", function, *args)
        problem = self._claims.problem if self._claims is not None else None
        if problem and not self._told:
            self._told = True
            self._log.info(logs.CLAIMS_UNUSABLE, reason=problem)
        return answer
