"""Deterministic simulation: whole searches, with all that can go wrong, decided by one seed.

The scheduler, its core, the oracles, admission, ledger, retries, frames, codec,
recovery and replay are the product's own. Time, processes, devices, the disk
below the journal, and people are simulated; see ``docs/simulator.md``.
"""

from __future__ import annotations

from aiotune.testing.simulator._bugs import BUGS, Bug, planted
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._plan import Plan, Setup, draw_plan
from aiotune.testing.simulator._simulate import Story, simulate
from aiotune.testing.simulator._world import Violation

__all__ = (
    "BUGS",
    "Bug",
    "Fault",
    "Plan",
    "Setup",
    "Story",
    "Violation",
    "draw_plan",
    "planted",
    "simulate",
)
