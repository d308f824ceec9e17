"""The scheduler's state machine, without a process, a loop or a clock."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from aiotune._devices import Resources
from aiotune.errors import InternalError
from aiotune.memory import Calibration
from aiotune.scheduler._admission import Admission
from aiotune.scheduler._commands import (
    AttemptConcluded,
    CancelProposals,
    Command,
    Finish,
    Launch,
    PlaceTaken,
    ProposalEnded,
    Propose,
    Stimulus,
    StopAttempt,
    StopReason,
    StopRequested,
    TrialProposed,
)
from aiotune.scheduler._core import SchedulerCore
from aiotune_gpu import Claim
from aiotune_gpu.fake import fake_devices

STOP = StopRequested(StopReason.CANCELLED, 1.0)


def machine(slots: int, *, ahead: int) -> SchedulerCore:
    """A scheduler of so many attempts on the CPU, where every trial fits."""
    admission = Admission(Resources(most=slots, reason=""), Calibration(), space="s", trains=False)
    return SchedulerCore(admission, ahead=ahead)


def launches(commands: list[Command]) -> list[str]:
    return [c.trial_id for c in commands if isinstance(c, Launch)]


def test_start_asks_for_every_slot_and_what_is_held_ready() -> None:
    """Two slots and one trial ahead make three requests."""
    commands = machine(2, ahead=1).start()

    assert commands == [Propose(1), Propose(2), Propose(3)]


def test_a_proposed_trial_is_launched_in_a_free_slot() -> None:
    """A trial starts at once where a slot is free, and nothing more is asked for."""
    core = machine(1, ahead=0)
    core.start()

    commands = core.handle(TrialProposed("0"))

    assert launches(commands) == ["0"]
    assert len(commands) == 1


def test_a_trial_ahead_waits_and_takes_the_slot_that_becomes_free() -> None:
    """The trial held ready starts with the conclusion of the one before, before a new proposal."""
    core = machine(1, ahead=1)
    core.start()
    core.handle(TrialProposed("0"))
    core.handle(TrialProposed("1"))

    commands = core.handle(AttemptConcluded("0", requeued=False))

    assert launches(commands[:1]) == ["1"]
    assert commands[1:] == [Propose(3)]


def test_the_search_finishes_when_nothing_is_left() -> None:
    """After the last proposal and the last attempt comes Finish, once and last."""
    core = machine(1, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))
    core.handle(AttemptConcluded("0", requeued=False))

    commands = core.handle(ProposalEnded(2))

    assert commands == [Finish(None)]


def test_dry_machine_waits_for_running_trials() -> None:
    """An exhausted oracle does not end a search in which a trial still runs."""
    core = machine(2, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))

    assert core.handle(ProposalEnded(2)) == []
    assert core.handle(AttemptConcluded("0", requeued=False)) == [Finish(None)]


def test_a_requeued_trial_is_asked_for_although_the_oracle_was_dry() -> None:
    """A retry makes the machine ask again."""
    core = machine(1, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))
    core.handle(AttemptConcluded("0", requeued=True))
    core.handle(ProposalEnded(2))

    assert core.finished

    core = machine(2, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))
    core.handle(ProposalEnded(2))

    commands = core.handle(AttemptConcluded("0", requeued=True))

    assert commands == [Propose(3), Propose(4)]


def test_an_answer_that_is_older_than_a_retry_ends_nothing() -> None:
    """An oracle that awaits before it says that nothing is left has not seen what was requeued meanwhile."""
    core = machine(2, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))

    assert core.handle(AttemptConcluded("0", requeued=True)) == [Propose(3)]
    assert core.handle(ProposalEnded(2)) == [Propose(4)]
    assert launches(core.handle(TrialProposed("0"))) == ["0"]
    assert core.handle(ProposalEnded(4)) == []
    assert core.handle(AttemptConcluded("0", requeued=False)) == [Finish(None)]


def test_a_stop_gives_up_requests_and_stops_what_runs() -> None:
    """A stop cancels proposals, stops attempts, launches nothing, and finishes when all is gone."""
    core = machine(2, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))

    assert core.handle(STOP) == [CancelProposals(), StopAttempt("0", 1.0)]
    assert core.handle(ProposalEnded(2)) == []
    assert core.handle(AttemptConcluded("0", requeued=False)) == [Finish(StopReason.CANCELLED)]


def test_a_trial_proposed_during_a_stop_is_not_launched() -> None:
    """What the oracle still answers after a stop stays unfinished."""
    core = machine(1, ahead=0)
    core.start()
    core.handle(STOP)

    assert core.handle(TrialProposed("0")) == [Finish(StopReason.CANCELLED)]


def test_a_second_stop_shortens_the_grace_and_keeps_the_first_reason() -> None:
    """Later stops repeat StopAttempt with their own grace."""
    core = machine(1, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))
    core.handle(StopRequested(StopReason.FATAL, 5.0))

    assert core.handle(StopRequested(StopReason.CANCELLED, 0.0)) == [StopAttempt("0", 0.0)]
    assert core.handle(AttemptConcluded("0", requeued=False)) == [Finish(StopReason.FATAL)]


@pytest.mark.parametrize(
    "stimulus",
    [TrialProposed("0"), ProposalEnded(1), AttemptConcluded("9", requeued=False)],
    ids=lambda s: type(s).__name__,
)
def test_an_impossible_stimulus_is_refused_with_the_story(stimulus: Stimulus) -> None:
    """A stimulus that cannot happen raises InternalError that tells what happened before."""
    core = machine(1, ahead=0)

    with pytest.raises(InternalError, match="Story:"):
        core.handle(stimulus)


def test_a_retry_proposed_before_its_attempt_is_over_waits() -> None:
    """A trial that is still running is not launched a second time, even if a slot is free."""
    core = machine(2, ahead=0)
    core.start()
    core.handle(TrialProposed("0"))

    assert core.handle(TrialProposed("0")) == []
    assert launches(core.handle(AttemptConcluded("0", requeued=False))[:1]) == ["0"]


def test_a_trial_proposed_twice_is_refused() -> None:
    """The same trial cannot be ready twice."""
    core = machine(1, ahead=1)
    core.start()
    core.handle(TrialProposed("0"))
    core.handle(TrialProposed("0"))

    with pytest.raises(InternalError):
        core.handle(TrialProposed("0"))


def test_nothing_may_follow_finish() -> None:
    """A stimulus after Finish is a bug of the loop."""
    core = machine(1, ahead=0)
    core.start()
    core.handle(ProposalEnded(2))

    with pytest.raises(InternalError, match="after Finish"):
        core.handle(ProposalEnded(2))


def test_a_negative_reserve_is_refused() -> None:
    """Fewer than no trials cannot be held ready."""
    with pytest.raises(InternalError):
        machine(1, ahead=-1)


class World:
    """Answers the core's commands at random, like an oracle and an executor would."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.core = machine(self.rng.randint(1, 5), ahead=self.rng.randint(0, 2))
        self.budget = self.rng.randint(0, 25)
        self.created = 0
        self.requeued: list[str] = []
        self.proposing: list[int] = []
        self.late: list[int] = []
        self.running: set[str] = set()
        self.launched: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.commands: list[Command] = []
        self.stop_at = self.rng.choice([None, self.rng.randint(1, 60)])

    def perform(self, commands: list[Command]) -> None:
        self.commands.extend(commands)
        for command in commands:
            if isinstance(command, Propose):
                self.proposing.append(command.request)
            elif isinstance(command, Launch):
                assert not self.core.stopping
                self.running.add(command.trial_id)
                self.launched[command.trial_id] += 1
        self.core.validate()

    def stimulus(self, step: int) -> Stimulus:
        if step == self.stop_at:
            return StopRequested(StopReason.FATAL, 0.5)
        waits = self.proposing or self.late
        if self.running and (not waits or self.rng.random() < 0.5):
            trial_id = self.rng.choice(sorted(self.running))
            self.running.discard(trial_id)
            again = self.launched[trial_id] < 3 and self.rng.random() < 0.2
            if again:
                self.requeued.append(trial_id)
            else:
                self.ended[trial_id] += 1
            return AttemptConcluded(trial_id, requeued=again)
        if self.late and (not self.proposing or self.rng.random() < 0.5):
            return ProposalEnded(self.late.pop(self.rng.randrange(len(self.late))))
        request = self.proposing.pop(0)
        if self.requeued:
            return TrialProposed(self.requeued.pop())
        if self.created < self.budget:
            self.created += 1
            return TrialProposed(str(self.created))
        self.late.append(request)  # the oracle has looked, and takes its time to say so
        return self.stimulus(0)

    def run(self) -> None:
        self.perform(self.core.start())
        for step in range(1, 2000):
            if self.core.finished:
                assert self.core.stopping or not self.requeued
                return
            self.perform(self.core.handle(self.stimulus(step)))
        raise AssertionError("no end")


@pytest.mark.parametrize("block", range(10))
def test_random_walks_keep_every_invariant(block: int) -> None:
    """Whatever order things happen in: invariants hold, every trial ends once, Finish is last."""
    for seed in range(block * 200, (block + 1) * 200):
        world = World(seed)

        world.run()

        finishes = [c for c in world.commands if isinstance(c, Finish)]
        assert finishes == [world.commands[-1]], f"seed {seed}"
        assert len(world.core.running) == 0, f"seed {seed}"
        assert all(n == 1 for n in world.ended.values()), f"seed {seed}"
        if world.core.stopping is None:
            assert len(world.ended) == world.created == world.budget, f"seed {seed}"


def test_an_attempt_whose_place_was_taken_goes_elsewhere() -> None:
    """A claim that was made meanwhile is heeded, the lease is given back, and the trial launched again."""
    devices = tuple(fake_devices(2))
    core = SchedulerCore(Admission(Resources(2, "", devices), Calibration(), space="s"), ahead=0)
    core.start()
    (first,) = [c for c in core.handle(TrialProposed("0")) if isinstance(c, Launch)]

    taken = [Claim("other", first.lease.uuids[0], 1)]
    (second,) = [
        c for c in core.handle(PlaceTaken("0", first.need, taken)) if isinstance(c, Launch)
    ]

    assert (first.lease.uuids, second.lease.uuids) == ((devices[0].uuid,), (devices[1].uuid,))
    assert core.admission.ledger.leases == (second.lease,)
    assert core.admission.ledger.known == {"other"}


def test_a_place_that_was_taken_while_the_search_stops_is_not_replaced() -> None:
    """The trial stays ready, for the next search, and the search ends."""
    devices = tuple(fake_devices(2))
    core = SchedulerCore(Admission(Resources(1, "", devices), Calibration(), space="s"), ahead=0)
    core.start()
    (launch,) = [c for c in core.handle(TrialProposed("0")) if isinstance(c, Launch)]
    core.handle(STOP)

    commands = core.handle(PlaceTaken("0", launch.need, [Claim("o", devices[0].uuid, 1)]))

    assert commands == [Finish(StopReason.CANCELLED)]
    assert list(core.ready) == ["0"]
