"""A search whose every attempt is written down in advance, for the simulator and for real processes.

A simulator is only as good as its likeness to what it stands for. So the same
script is played in the simulated world and by real processes in a real
directory, and both must leave the same journal; see ``docs/simulator.md``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiotune import events
from aiotune.oracles import Oracle
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._plan import Happening, Interruption, Plan, Setup
from aiotune.wire import RunAttempt

__all__ = ("SCRIPTS", "Script", "ScriptedPlan", "when_reported")

_EPOCH = 0.01


@dataclass(frozen=True, slots=True)
class Script:
    """One search, over one or several lives of its tuner.

    Attributes:
        setup: What is searched, and how.
        acts: What is wrong with the attempts of each trial, one after the other; those
            behind the last one, and trials that are not named, go well.
        lives: What happens to each life of the tuner; an empty tuple lets it come to its own end.
    """

    setup: Setup
    acts: Mapping[int, Sequence[Fault]]
    lives: Sequence[Sequence[Interruption]] = ((),)

    def act(self, index: int, attempt: int) -> Fault | None:
        """Return what is wrong with an attempt, counted from 1."""
        acts = self.acts.get(index, ())
        return acts[attempt - 1] if attempt <= len(acts) else None


@dataclass(frozen=True, slots=True)
class ScriptedPlan(Plan):
    """A plan in which nothing is left to chance."""

    script: Script

    @classmethod
    def of(cls, script: Script) -> ScriptedPlan:
        """Make the plan of a script."""
        setup = replace(script.setup, trains=False)  # it is a function that is searched
        return cls(seed=0, setup=setup, faults=frozenset(), rate=0.0, script=script)

    def fault_of(self, order: RunAttempt) -> Fault | None:
        """Return what the script says."""
        return self.script.act(order.index, order.attempt)

    def seconds_of_an_epoch(self, order: RunAttempt) -> float:
        """Return a hundredth of a second."""
        return _EPOCH

    def interruptions(self, life: int) -> Sequence[Interruption]:
        """Return what the script says."""
        return self.script.lives[life]

    def happenings(self, life: int) -> list[Happening]:
        """Return nothing."""
        return []


def when_reported(
    oracle: Oracle, attempts: Collection[tuple[str, int]], then: Callable[[], object]
) -> None:
    """Call a function, once, when the first report of each of some attempts is durable.

    Args:
        oracle: Whose trials they are; before it is opened.
        attempts: As (trial id, number).
        then: Called on the event loop.
    """
    record, waiting = oracle.record, set(attempts)
    tasks: list[asyncio.Future[None]] = []

    async def once_durable(commit: Awaitable[None]) -> None:
        await commit
        then()

    def watched(*facts: events.Event) -> Awaitable[None]:
        commit = record(*facts)
        for fact in facts:
            if isinstance(fact, events.MetricsReported):
                waiting.discard((fact.trial_id, fact.attempt))
        if not waiting and not tasks:
            tasks.append(asyncio.ensure_future(once_durable(commit)))
        return commit

    named: Any = oracle
    named.record = watched  # an instance's own: a subclass would have another name in the journal


def _after(fault: Fault, *attempts: tuple[str, int]) -> tuple[Interruption, ...]:
    return (Interruption(fault, attempts),)


_F = Fault
_SETUP = Setup(trials=6, slots=1, retries=1, timeout=30.0, epochs=3)

SCRIPTS: dict[str, Script] = {
    # Every way in which an attempt ends, one after the other; what ends the search comes
    # twice, so that what was interrupted by it is taken up.
    "one after the other": Script(
        Setup(trials=23, slots=1, retries=1, timeout=4.0, stall=2.0, epochs=3, prunes="threshold"),
        {
            1: [_F.FAILED_TRIAL],
            2: [_F.RAISES],
            3: [_F.SEGFAULT, _F.EXIT_WITHOUT_RESULT],
            4: [_F.SYS_EXIT, _F.NOT_A_NUMBER],
            5: [_F.INFINITE],
            6: [_F.HANGS],
            7: [_F.SPINS],
            8: [_F.HOPELESS],
            9: [_F.OVERSIZED],
            10: [_F.RAISES_NASTY_TEXT, _F.KILLED],
            11: [_F.TERMINATED, _F.ABORT],
            12: [_F.RESULT_NOT_SENT],
            13: [_F.CHANNEL_CLOSED],
            14: [_F.DIES_AFTER_RESULT],
            15: [_F.GARBAGE],
            16: [_F.MANY_METRICS],
            17: [_F.REPORT_TWICE],
            18: [_F.SILENT],
            19: [_F.MEMORY_ERROR],
            20: [_F.LEAVES_CHILDREN],
            21: [_F.BUS_ERROR],
            22: [_F.BAD_RESULT],
            23: [_F.FATAL],
        },
        lives=((), ()),
    ),
    # Hyperparameters that workers discover.
    "discovered": Script(
        Setup(trials=5, slots=1, retries=0, timeout=30.0, epochs=2, discovers=True),
        {1: [_F.RAISES], 3: [_F.SEGFAULT]},
    ),
    # A grid, and too many failures in a row: the search is taken up and goes on.
    "aborted": Script(
        Setup(oracle="grid", trials=9, slots=1, retries=1, timeout=30.0, epochs=2, consecutive=2),
        {1: [_F.RAISES, _F.RAISES], 3: [_F.FAILED_TRIAL], 4: [_F.SYS_EXIT, _F.SYS_EXIT]},
        lives=((), ()),
    ),
    # What proposes from results: the same results in the same order, and a kill between them.
    "hyperband": Script(
        Setup(oracle="hyperband", slots=1, retries=1, timeout=30.0),
        {2: [_F.RAISES], 4: [_F.FAILED_TRIAL], 8: [_F.SEGFAULT], 9: [_F.HANGS]},
        lives=(_after(_F.TUNER_KILLED, ("0009", 1)), ()),
    ),
    "bayesian": Script(
        Setup(oracle="bayesian", trials=6, slots=1, retries=1, timeout=30.0, epochs=2),
        {1: [_F.RAISES], 2: [_F.FAILED_TRIAL], 4: [_F.HANGS]},
        lives=(_after(_F.TUNER_KILLED, ("4", 1)), ()),
    ),
    # Ctrl-C, then SIGTERM, then to the end.
    "interrupted": Script(
        _SETUP,
        {1: [_F.RAISES, _F.HANGS], 3: [_F.HANGS]},
        lives=(_after(_F.INTERRUPTED, ("1", 2)), _after(_F.SIGTERM, ("3", 1)), ()),
    ),
    # Killed twice during the same trial, then during another one, then to the end.
    "killed": Script(
        _SETUP,
        {1: [_F.HANGS, _F.HANGS], 4: [_F.FAILED_TRIAL], 5: [_F.HANGS_DEAF]},
        lives=(
            _after(_F.TUNER_KILLED, ("1", 1)),
            _after(_F.TUNER_KILLED, ("1", 2)),
            _after(_F.TUNER_KILLED, ("5", 1)),
            (),
        ),
    ),
    # Three at a time: what happens to each trial is the same, whatever happens between them.
    "side by side": Script(
        Setup(trials=12, slots=3, retries=2, timeout=30.0, stall=2.0, epochs=3, discovers=True),
        {
            0: [_F.HANGS],
            1: [_F.RAISES, _F.SEGFAULT, _F.SYS_EXIT],
            2: [_F.FAILED_TRIAL],
            4: [_F.NOT_A_NUMBER],
            5: [_F.RESULT_NOT_SENT],
            7: [_F.KILLED, _F.INFINITE],
            8: [_F.HANGS],
            9: [_F.HANGS],
            10: [_F.HANGS],
        },
        lives=(_after(_F.TUNER_KILLED, ("8", 1), ("9", 1), ("10", 1)), ()),
    ),
}
"""By name; what each is about."""
