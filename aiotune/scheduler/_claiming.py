"""Lets the other searches of this host see which devices attempts hold, and sees theirs; off the loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aiotune import logs
from aiotune._gpu import Claim, HostClaims, Lease
from aiotune._offload import Overdue

if TYPE_CHECKING:
    from aiotune._offload import Offloader

__all__ = ("Claiming",)

T = TypeVar("T")
_ANSWER = 5.0
"""Seconds that the directory may take; a file server that hangs is asked once."""


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
        found = await self._ask(claims.claim, lease.holder, lease.uuids, lease.bytes, known)
        return found or ()

    async def withdraw(self, lease: Lease) -> None:
        """Let others have the devices of a lease."""
        if self._claims is not None:
            await self._ask(self._claims.withdraw, lease.holder)

    async def others(self) -> Sequence[Claim]:
        """Return what others claim now."""
        return () if self._claims is None else await self._ask(self._claims.others) or ()

    async def close(self) -> None:
        """Withdraw what is left."""
        if self._claims is not None:
            await self._ask(self._claims.close)

    async def _ask(self, function: Callable[..., T], *args: object) -> T | None:
        try:
            answer = await self._offload.run(
                "claims",
                function,
                *args,
                deadline=_ANSWER,
                what="Looking at the claims of this host",
            )
        except Overdue as error:
            # For good: each question would leave a thread behind. What is claimed goes with the program.
            self._claims = None
            self._say(str(error))
            return None
        if self._claims is not None and self._claims.problem:
            self._say(self._claims.problem)
        return answer

    def _say(self, problem: str) -> None:
        if not self._told:
            self._told = True
            self._log.info(logs.CLAIMS_UNUSABLE, reason=problem)
