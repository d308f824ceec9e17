"""The program that is simulated: its oracle, and what it sees of the log."""

from __future__ import annotations

import asyncio
from typing import Any

from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    Oracle,
    RandomSearchOracle,
)
from aiotune.pruners import MedianPruner, ThresholdPruner
from aiotune.status import TrialStatus
from aiotune.testing.simulator._devices import SimDevices
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._monitors import Monitors
from aiotune.testing.simulator._plan import Setup
from aiotune.testing.simulator._world import World
from aiotune.trial import Trial

__all__ = ("SimLog", "let_it_await", "make_oracle")

_THRESHOLD = ThresholdPruner(upper=10.0)
_AWAITS, _AWAITS_LONG = 5.0, 100.0
"""Seconds that an oracle may take to say what it has decided; and that nothing is left."""
_QUIET_EVENTS = frozenset({"search_started", "attempt_started"})


def make_oracle(setup: Setup, seed: int) -> Oracle:
    """Return a new oracle, as a program that is run again makes one."""
    hp = HyperParameters()
    common: dict[str, Any] = {
        "objective": "loss",
        "seed": seed,
        "hyperparameters": hp,
        "max_retries_per_trial": setup.retries,
        "max_consecutive_failed_trials": setup.consecutive,
    }
    if setup.oracle == "grid":
        hp.Int("units", 1, 4)
        hp.Choice("kind", ["a", "b", "c"])
        oracle: Oracle = GridSearchOracle(max_trials=setup.trials, **common)
    else:
        hp.Float("rate", 1e-4, 1.0, sampling="log")
        hp.Int("units", 1, 64)
        if setup.oracle == "hyperband":
            oracle = HyperbandOracle(max_epochs=4, factor=2, **common)
        elif setup.oracle == "bayesian":
            oracle = BayesianOptimizationOracle(
                max_trials=setup.trials, num_initial_points=2, **common
            )
        else:
            oracle = RandomSearchOracle(max_trials=setup.trials, **common)
    if setup.prunes:
        oracle.pruner = MedianPruner(min_trials=3) if setup.prunes == "median" else _THRESHOLD
    return oracle


def let_it_await(oracle: Oracle, world: World) -> None:
    """Let an oracle await something after it has decided, if that is so in this world."""
    if not world.plan.among({Fault.ORACLE_AWAITS}):
        return
    decide: Any = oracle.next_trial

    async def slowly() -> Trial:
        trial: Trial = await decide()
        numbers = world.plan.numbers("awaits", world.life, trial.trial_id)
        stopped = trial.status is TrialStatus.STOPPED
        if stopped:
            world.strike(Fault.ORACLE_AWAITS, "user")
        await asyncio.sleep(numbers.uniform(0.0, _AWAITS_LONG if stopped else _AWAITS))
        return trial

    named: Any = oracle
    named.next_trial = (
        slowly  # an instance's own: a subclass would have another name in the journal
    )


class SimLog:
    """Takes the product's log into the story, and what the checkers need out of it."""

    def __init__(self, world: World, monitors: Monitors, devices: SimDevices, root: str) -> None:
        self._world, self._monitors, self._devices = world, monitors, devices
        self._root = root
        self.retries: list[tuple[str, int]] = []
        self.abandoned = False

    def info(self, event: str, **fields: Any) -> None:
        """Take an event."""
        if self._world.dead:
            return
        if event == "trial_retry":
            self.retries.append((fields["trial"], fields["attempt"] + 1))
        elif event == "device_quarantined":
            self._monitors.quarantined.add(fields["device"])
            self._devices.away.setdefault(fields["device"], self._world.monotonic())
        elif event == "device_back":
            self._monitors.quarantined.discard(fields["device"])
            self._devices.away.pop(fields["device"], None)
        elif event == "weighing_stalled":
            self._monitors.weighing_given_up(fields["trial"])
        elif event == "shutdown_abandoned":
            self.abandoned = True
        if event not in _QUIET_EVENTS:
            told = " ".join(
                f"{k}={self._shown(v)[:80]!r}" for k, v in fields.items() if k != "exc_info"
            )
            self._world.say("tuner", f"{event} {told}")

    warning = error = info

    def _shown(self, value: Any) -> str:
        return str(value).replace(self._root, "/nowhere")  # its name is another one each time
