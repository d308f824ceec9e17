"""A whole search on virtual time: the real scheduler and oracle, scripted workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiotune._devices import Resources
from aiotune._offload import InlineOffloader
from aiotune.executors._simulated import Script, SimulatedExecutor
from aiotune.failures import FailureKind, TrialFailure
from aiotune.oracles import Oracle
from aiotune.scheduler import (
    Admission,
    AttemptRunner,
    DeviceWatch,
    SchedulerCore,
    SearchLoop,
    Timing,
    Weigher,
)
from aiotune.store import Layout
from aiotune.trial import Trial
from aiotune.wire import Done, Failed, Report, RunAttempt, RunProbe, RunWeighing, Weighed

__all__ = ("RecordingLog", "Simulation", "completes", "fails")


class RecordingLog:
    """Keeps every event as ``(name, fields)``."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """Keep an event."""
        self.events.append((event, fields))

    warning = error = info

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the fields of all events of a name."""
        return [fields for event, fields in self.events if event == name]


class _LoopClock:
    """Tells the running loop's time, which may be virtual."""

    def now(self) -> float:
        return 1e9 + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def completes(order: RunAttempt, score: float, *, epochs: int = 1, seconds: float = 1.0) -> Script:
    """Return the script of a worker that reports each epoch and ends with a score."""
    name = order.objective[0]["name"]
    says: list[tuple[float, Report | Done]] = [
        (seconds, Report(step=epoch, metrics={name: score})) for epoch in range(epochs)
    ]
    done = Done(
        metrics={name: score},
        best_step=epochs - 1,
        executions=[{name: score}],
        values=dict(order.space["values"]),
        entries=[],
    )
    return Script([*says, (0.0, done)])


def fails(kind: FailureKind, *, seconds: float = 1.0, type: str = "ValueError") -> Script:  # noqa: A002
    """Return the script of a worker that fails with an exception."""
    failure = TrialFailure(
        kind=kind, type=type, message="scripted", mro=("aiotune.errors.FatalError",)
    )
    return Script([(seconds, Failed(failure=failure, values={}, entries=[]))])


@dataclass
class Simulation:
    """One search: give it an oracle and what workers do, then :meth:`run` it.

    Attributes:
        oracle: The real oracle.
        act: Returns what the worker of an order does.
        slots: How many run at once, if ``resources`` does not say so.
        resources: What there is to run on; default the CPU.
        weigh: Answers a weighing; default: trials are not weighed.
        weigh_seconds: How long a weighing takes.
        timing: The loop's times.
        log: What was logged.
        ended: Every trial whose attempt ended, in order.
    """

    oracle: Oracle
    act: Callable[[RunAttempt], Script]
    slots: int = 2
    resources: Resources | None = None
    weigh: Callable[[RunWeighing], Weighed | Failed] | None = None
    weigh_seconds: float = 0.05
    timing: Timing = field(default_factory=Timing)
    log: RecordingLog = field(default_factory=RecordingLog)
    ended: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.executor = self.make_executor()
        resources = self.resources or Resources(most=self.slots, reason="simulated")
        self.admission = Admission(resources, self.oracle.calibration, space="simulated")
        ahead = 1 if self.oracle.proposes_ahead else 0
        self.core = SchedulerCore(self.admission, ahead=ahead, weighs=self.weigh is not None)
        layout = Layout(Path("/nowhere"), "simulated")
        clock = _LoopClock()
        self.oracle.log = self.log
        counter = iter(range(10**9))
        runner = AttemptRunner(
            oracle=self.oracle,
            executor=self.executor,
            layout=layout,
            log=self.log,
            clock=clock,
            offload=InlineOffloader(),
            hooks=self,
            admission=self.admission,
            new_id=lambda: f"{next(counter):08x}",
        )
        self.loop = SearchLoop(
            core=self.core,
            oracle=self.oracle,
            runner=runner,
            weigher=Weigher(
                oracle=self.oracle,
                executor=self.executor,
                layout=layout,
                log=self.log,
                admission=self.admission,
                hooks=self,
                max_model_size=None,
                clock=clock,
                offload=InlineOffloader(),
            ),
            watch=DeviceWatch(
                resources, InlineOffloader(), free_ram=lambda: resources.host_bytes or 0
            ),
            log=self.log,
            clock=clock,
            timing=self.timing,
            on_tick=self.core.validate,
            offload=InlineOffloader(),
        )

    def make_executor(self) -> Any:
        """Return what runs the attempts; override it for workers that are more than a script."""
        return SimulatedExecutor(self._script)

    def _script(self, order: RunAttempt | RunWeighing | RunProbe) -> Script:
        if isinstance(order, RunWeighing):
            assert self.weigh is not None
            return Script([(self.weigh_seconds, self.weigh(order))])
        assert isinstance(order, RunAttempt)
        return self.act(order)

    async def run(self) -> None:
        """Run the search to its end, and check that nothing is left running."""
        try:
            await self.loop.run()
        finally:
            assert not self.executor.live
            assert not self.loop.running
            self.core.validate()

    async def trial_began(self, trial: Trial) -> None:
        """Do nothing."""

    async def trial_ended(self, trial: Trial, seconds: float) -> None:
        """Remember the trial."""
        self.ended.append(trial)
