"""One seed: its plan, its lives, its twin, its story."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

from aiotune.errors import JournalCorrupt
from aiotune.store._recovery import recover
from aiotune.testing.simulator._disk import SimDisk
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._history import (
    History,
    TrialRecord,
    check_history,
    check_retries_logged,
    recorded_retries,
)
from aiotune.testing.simulator._lives import Life
from aiotune.testing.simulator._monitors import Monitors
from aiotune.testing.simulator._plan import Plan, Setup, draw_plan
from aiotune.testing.simulator._refusals import check_refusals
from aiotune.testing.simulator._training import DISCOVERED
from aiotune.testing.simulator._world import Violation, World

__all__ = ("Run", "Story", "simulate")

_MOST_LIVES = 14
_MORE = 3


@dataclass(frozen=True, slots=True)
class Story:
    """What became of one seed.

    Attributes:
        seed: The seed.
        plan: What it decided.
        lines: The story, a line a step.
        violations: What must never be, and was.
        trials: How many trials there are.
        attempts: How many processes ran for them.
        lives: How many processes of the tuner it took.
        records: How many records the journal has.
        faults: How often each fault really happened.
        statuses: How many trials ended in which way.
        compared: Whether an uninterrupted twin was there to compare with.
        judged: How much there was for some checkers to judge, by what it was.
    """

    seed: int
    plan: Plan
    lines: tuple[str, ...]
    violations: tuple[Violation, ...]
    trials: int
    attempts: int
    lives: int
    records: int
    faults: Counter[Fault]
    statuses: Counter[str]
    compared: bool
    judged: Counter[str]

    @property
    def text(self) -> str:
        """The whole story."""
        return "\n".join([f"seed {self.seed}: {self.plan.setup}", *self.lines, ""])

    @property
    def digest(self) -> str:
        """A fingerprint of the story: two runs of a seed have the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def simulate(
    seed: int,
    *,
    trials: int | None = None,
    faults: Collection[Fault] | None = None,
    twin: bool = True,
) -> Story:
    """Run a search in a world of trouble, with the real scheduler, oracle, admission and journal.

    Args:
        seed: Decides everything.
        trials: The budget; default drawn.
        faults: What may happen; default a drawn part of everything.
        twin: Whether to run the same search without interruption as well, and to compare.

    Returns:
        The story, with all violations of the invariants. Two calls with the same
        arguments return the same, byte for byte.
    """
    plan = draw_plan(seed, trials=trials, faults=faults)
    run = Run(plan)
    history = run.to_the_end()
    segments = run.disk.data
    run.disk.remove()
    compared = False
    # Who sleeps through a training saves its time, and so may not run out of it.
    slept = run.world.struck[Fault.SUSPENDED]
    if twin and history.finished and not slept and _is_comparable(plan.setup):
        compared = _compare(run, history)
    world = run.world
    return Story(
        seed=seed,
        plan=plan,
        lines=tuple(world.lines),
        violations=tuple(world.violations),
        trials=len(history.trials),
        attempts=len(run.monitors.truth.launched),
        lives=world.life,
        records=sum(data.count(b"\n") for data in segments),
        faults=world.struck,
        statuses=history.by_status(),
        compared=compared,
        judged=world.judged,
    )


class Run:
    """All lives of one plan."""

    def __init__(self, plan: Plan, *, quiet: bool = False) -> None:
        self.plan = plan
        self.world = World(plan, quiet=quiet)
        self.disk = SimDisk(self.world)
        self.monitors = Monitors(self.world)
        self.disk.watch(self.monitors)
        self._logged: list[tuple[str, int]] = []
        self._setup = plan.setup

    def to_the_end(self) -> History:
        """Live until the search is over, and judge what is left."""
        end = ""
        while end != "finished" and self.world.life < _MOST_LIVES:
            end = self.live()
        if end == "finished":
            self._afterwards()
        return self.judge()

    def judge(self) -> History:
        """Judge what is left of all lives."""
        try:
            recover(self.disk.layout.journal_dir, repair=True)
        except JournalCorrupt as error:
            self.world.wrong("I24", f"the journal cannot be read any more: {error}")
        history = check_history(self.disk.data, self._setup, self.monitors.truth, self.world.wrong)
        check_retries_logged(history, self._logged, self.world.wrong)
        truth = self.monitors.truth
        self.world.judged += check_refusals(self.disk.data, self.plan, truth, self.world.wrong)
        return history

    def live(self) -> str:
        """Live once; return how it ended."""
        self.world.dead = False
        self.disk.new_life()
        self.monitors.new_life()
        life = Life(self.world, self.disk, self.monitors, self._setup)
        life.live()
        retries = life.log.retries
        if life.end in {"killed", "StorageError"}:
            self.monitors.truth.cut_short.add(self.world.life)
            # What was logged and is not on the disk did not happen, and may happen again.
            kept = recorded_retries(self.disk.data)
            retries = [retry for retry in retries if retry in kept]
        self._logged += retries
        self.world.life += 1
        return life.end

    def _afterwards(self) -> None:
        """Search once more, with the same budget or a larger one."""
        plan, before = self.plan, len(self.monitors.truth.launched)
        if plan.among({Fault.BUDGET_RAISED}) and plan.setup.oracle == "random":
            self.world.strike(Fault.BUDGET_RAISED, "user", f"by {_MORE}")
            self._setup = _larger(self._setup)
            end = ""
            while end != "finished" and self.world.life < _MOST_LIVES + _MORE:
                end = self.live()
        elif plan.among({Fault.SEARCHED_AGAIN}):
            self.world.strike(Fault.SEARCHED_AGAIN, "user")
            self.live()
            more = self.monitors.truth.launched[before:]
            if more:
                names = [order.attempt_id for _, order in more]
                self.world.wrong("I6", f"the search was finished, and {names} ran")


def _larger(setup: Setup) -> Setup:
    return replace(setup, trials=setup.trials + _MORE)


def _is_comparable(setup: Setup) -> bool:
    """Whether an algorithm promises the same configurations, however the search was interrupted."""
    if setup.gpus:
        return False  # what fits depends on when devices failed, and rejected trials are replaced
    if setup.weighs:
        return False  # a model that nothing could be found out about is tried, and fails in another way
    if setup.oracle in {"bayesian", "hyperband"}:
        return setup.slots == 1  # proposals follow from results, so from their order
    return True


def _compare(run: Run, history: History) -> bool:
    """Compare a search with its uninterrupted twin; return whether there was one."""
    twin = Run(run.plan.calm(), quiet=True)
    expected = twin.to_the_end()
    twin.disk.remove()
    run.world.violations.extend(twin.world.violations)
    if not expected.finished:
        return False
    told = _configured if run.plan.setup.prunes else _told
    unkept = run.monitors.truth.unkept
    for trial_id, other in expected.trials.items():
        mine = history.trials.get(trial_id)
        if mine is None:
            run.world.wrong("I18", f"trial {trial_id} of the uninterrupted twin is not there")
        elif told(mine) != told(other) and trial_id not in unkept:
            run.world.wrong("I18", f"{told(mine)}; the uninterrupted twin has {told(other)}")
    return True


def _configured(trial: TrialRecord) -> tuple[object, ...]:
    # A verdict waits for the disk; how far a training goes meanwhile, and so its score, is chance.
    return (trial.trial_id, _declared(trial), trial.budget)


def _declared(trial: TrialRecord) -> dict[str, object]:
    # Whether a proposal has what workers discover depends on whether one had when it was made.
    return {name: value for name, value in trial.values.items() if name != DISCOVERED}


def _told(trial: TrialRecord) -> tuple[object, ...]:
    # What a failed attempt had discovered is known only as long as somebody lives who heard it.
    values = trial.final_values if trial.status == "COMPLETED" else _declared(trial)
    return (trial.trial_id, trial.status, trial.score, values, trial.budget)
