"""One simulated world: its time, its story, its death, and what was seen to be wrong in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from aiotune.testing.simulator._faults import Fault

if TYPE_CHECKING:
    from aiotune.testing.simulator._plan import Plan
    from aiotune.testing.simulator._threads import SimLoop

__all__ = ("Violation", "Watcher", "World")

_EPOCH = 1_700_000_000.0
_LONGEST_STORY = 20_000


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be.

    Attributes:
        invariant: Its number, such as ``"I3"``.
        what: The sentence, with names and numbers.
        at: Virtual seconds since the beginning.
    """

    invariant: str
    what: str
    at: float

    def __str__(self) -> str:
        return f"{self.invariant} at {self.at:.3f}: {self.what}"


class Watcher(Protocol):
    """Looks at what the world does, while it does it."""

    def synced(self, data: bytes) -> None:
        """Take in what has just become durable."""
        ...


@dataclass(slots=True)
class World:
    """What all parts of a simulation share.

    Attributes:
        plan: What the seed decides.
        lines: The story so far, a line a step.
        violations: What was wrong.
        struck: How often each fault really happened.
        judged: How much there was to judge, by what it was.
        life: Which life of the tuner this is, from 0.
        loop: The loop of this life.
        began: When this life began, in seconds since the beginning.
        dead: Whether the tuner's process is gone: what its code still does has no effect.
        wall_jump: By how much the wall clock is wrong.
        quiet: Whether nothing is told; the twin's story is nobody's business.
    """

    plan: Plan
    lines: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    struck: Counter[Fault] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    life: int = 0
    loop: SimLoop | None = None
    began: float = 0.0
    dead: bool = False
    wall_jump: float = 0.0
    quiet: bool = False

    # ── time ───────────────────────────────────────────────────────────────

    def monotonic(self) -> float:
        """Return the seconds since the beginning, over all lives."""
        return self.began + (self.loop.time() if self.loop is not None else 0.0)

    def now(self) -> float:
        """Return what the wall clock says."""
        return _EPOCH + self.monotonic() + self.wall_jump

    time = now

    @property
    def running(self) -> SimLoop:
        """The loop of this life, which there must be."""
        assert self.loop is not None
        return self.loop

    # ── the story ──────────────────────────────────────────────────────────

    def say(self, who: str, what: str) -> None:
        """Add a line to the story, unless nobody lives to do what it tells."""
        if not self.dead and not self.quiet and len(self.lines) < _LONGEST_STORY:
            self.lines.append(f"{self.monotonic():10.3f} {who:<10} {what}")

    def strike(self, fault: Fault, who: str, what: str = "") -> None:
        """Count a fault that happens now, and tell it."""
        if not self.dead:
            self.struck[fault] += 1
            self.say(who, f"!! {fault.name}{': ' if what else ''}{what}")

    def wrong(self, invariant: str, what: str) -> None:
        """Note that an invariant does not hold."""
        violation = Violation(invariant, what, round(self.monotonic(), 3))
        self.violations.append(violation)
        if not self.quiet:
            self.lines.append(f"{self.monotonic():10.3f} {'CHECK':<10} {violation}")

    # ── the tuner's death ──────────────────────────────────────────────────

    def die(self, fault: Fault, what: str = "") -> None:
        """End the tuner's process now: nothing that its code does from here on has an effect."""
        if self.dead:
            return
        self.strike(fault, "tuner", what)
        self.dead = True
        # What is scheduled for this very moment still runs, and has no effect either.
        self.running.stop()
