"""The loop's times."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiotune.scheduler._patience import Limits

__all__ = ("Timing",)


@dataclass(frozen=True, slots=True)
class Timing:
    """The loop's times, in seconds.

    Attributes:
        grace: How long a worker may take to end after a stop, before it is killed.
        fatal_grace: The same after a FatalError, when nobody wants to wait.
        limits: How long an attempt may take, and be silent.
        tick: Period of the ticker.
        shutdown: How long everything may take beyond the grace before it is abandoned.
        watch: Period of looking at devices and host.
    """

    grace: float = 10.0
    fatal_grace: float = 0.5
    limits: Limits = field(default_factory=Limits)
    tick: float = 0.25
    shutdown: float = 10.0
    watch: float = 1.0
