"""Which trial runs where and when: a state machine without IO, clock or ``await``.

::

    Propose ─► (oracle) ─► TrialProposed ─► Weigh ─► TrialWeighed ─► ready ─┬► Launch ─► running
       ▲                        │ ProposalEnded         │                   │               │
       │                        ▼                       ▼ TrialDropped      └► Reject       │
       └── there is room ──── dry: no more ◄────────────┴─────────────────────── AttemptConcluded
                              requests until something is requeued      lease given back, maybe requeued

Requests are numbered. An oracle may take its time to say that nothing is left, and a trial may have been
requeued meanwhile: an end of a request that is older than that says nothing.

A trial that waits is overtaken by smaller ones, but not for ever: after a few
of them, the devices that it will need are kept for it.

A stop empties the machine: requests and weighings are given up, running
attempts are stopped, ready trials stay where they are (unfinished, so a
resumed search runs them). ``Finish`` is emitted exactly once, when nothing is
left.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NoReturn, assert_never

from aiotune._gpu import Lease, MemoryRequest, NeverFits, NotNow
from aiotune.errors import InternalError
from aiotune.scheduler._admission import Admission, Need
from aiotune.scheduler._commands import (
    AttemptConcluded,
    CancelProposals,
    Command,
    DeviceBack,
    DeviceBroke,
    DeviceHeld,
    EndedBy,
    Finish,
    Launch,
    LimitSharing,
    Measurement,
    MemoryMeasured,
    PlaceTaken,
    ProposalEnded,
    Propose,
    Reject,
    StepsTimed,
    Stimulus,
    StopAttempt,
    StopRequested,
    TrialDropped,
    TrialProposed,
    TrialWeighed,
    Weigh,
)
from aiotune.scheduler._packing import Packing, Verdict

__all__ = ("SchedulerCore",)

_PATIENCE = 4
"""How many trials may overtake one that waits before devices are kept for it."""
_DEVICE_GRACE = 2.0
"""Seconds that workers on a broken device get to end; most hang in its driver."""


@dataclass(slots=True)
class _Waiting:
    """A trial that is ready; ``overtaken`` counts those launched while it waited."""

    need: Need
    overtaken: int = 0


class SchedulerCore:
    """The scheduler's state; :meth:`handle` is its only way to change.

    Args:
        admission: Decides what fits; its ledger changes only here.
        ahead: How many trials to hold ready beyond those that fit, so that no
            device waits for a proposal. 0 lets every proposal see all results.
        weighs: Whether trials are weighed before they run.
    """

    def __init__(self, admission: Admission, *, ahead: int, weighs: bool = False) -> None:
        if ahead < 0:
            raise InternalError(f"A scheduler needs ahead >= 0, not {ahead}.")
        self.admission = admission
        self.ahead = ahead
        self.weighs = weighs
        resources = admission.resources
        kinds = {d.uuid: f"{d.name}, {d.total_bytes} bytes" for d in resources.devices}
        self.packing = Packing(resources.most_per_device, kinds) if resources.measures else None
        self.ready: dict[str, _Waiting] = {}
        self.weighing: set[str] = set()
        self.rejecting: set[str] = set()
        self.running: dict[str, Lease] = {}
        self.proposing = 0
        self.requests = 0
        self.heard_up_to = 0
        self.dry = False
        self.stopping: StopRequested | None = None
        self.finished = False
        self.waits_for = ""
        self.story: deque[Stimulus | Command] = deque(maxlen=200)

    def start(self) -> list[Command]:
        """Return the first commands."""
        return self._settle([])

    def handle(self, stimulus: Stimulus) -> list[Command]:  # noqa: PLR0912 - one arm a member
        """Take in what happened and return what to do, in order.

        Raises:
            InternalError: The stimulus cannot happen in this state; carries the story.
        """
        self.story.append(stimulus)
        if self.finished:
            self._broken(f"{stimulus!r} after Finish")
        commands: list[Command] = []
        match stimulus:
            case TrialProposed():
                self._proposed(stimulus, commands)
            case ProposalEnded(request):
                self._proposal_returned()
                self.dry = self.dry or request > self.heard_up_to
            case TrialWeighed(trial_id, need):
                self._weighed(trial_id, need, commands)
            case TrialDropped(trial_id):
                self.weighing.discard(trial_id)
                self.rejecting.discard(trial_id)
                self._more_is_left()  # one that was rejected leaves room in the budget
            case AttemptConcluded():
                self._concluded(stimulus, commands)
            case MemoryMeasured(measured):
                self._measured(measured)
            case PlaceTaken(trial_id, need, claims):
                self._release(trial_id, commands)
                self.ready[trial_id] = _Waiting(need)
                self.admission.ledger.heed(claims)
            case DeviceBroke():
                self._device_broke(stimulus, commands)
            case DeviceBack() | DeviceHeld():
                self._device_is(stimulus)
            case StepsTimed():
                self._timed(stimulus, commands)
            case StopRequested():
                self._stop(stimulus, commands)
            case _:
                assert_never(stimulus)
        return self._settle(commands)

    # ── what happened ──────────────────────────────────────────────────────

    def _proposed(self, stimulus: TrialProposed, commands: list[Command]) -> None:
        self._proposal_returned()
        trial_id, need = stimulus.trial_id, stimulus.need
        if trial_id in self.ready or trial_id in self.weighing:
            self._broken(f"trial {trial_id} was proposed while it waits already")
        if need is None and self.weighs and self.stopping is None:
            self.weighing.add(trial_id)
            commands.append(Weigh(trial_id))
        else:
            # It may still be running: a retry can be proposed between the
            # record of an attempt's end and the news of it. It then waits.
            self.ready[trial_id] = _Waiting(need or Need())

    def _proposal_returned(self) -> None:
        if self.proposing == 0:
            self._broken("a proposal returned that nobody asked for")
        self.proposing -= 1

    def _weighed(self, trial_id: str, need: Need, commands: list[Command]) -> None:
        if trial_id not in self.weighing:
            self._broken(f"trial {trial_id} was weighed and nobody had asked for it")
        if self.stopping is None and self.admission.wants_trace(need):
            commands.append(Weigh(trial_id, need))
            return
        self.weighing.remove(trial_id)
        self.ready[trial_id] = _Waiting(need)

    def _concluded(self, stimulus: AttemptConcluded, commands: list[Command]) -> None:
        self._release(stimulus.trial_id, commands)
        self._measured(stimulus.measured)
        if stimulus.requeued:
            self._more_is_left()

    def _more_is_left(self) -> None:
        self.dry, self.heard_up_to = False, self.requests

    def _release(self, trial_id: str, commands: list[Command]) -> None:
        lease = self.running.pop(trial_id, None)
        if lease is None:
            self._broken(f"trial {trial_id} concluded and was not running")
        self.admission.ledger.release(lease)
        if self.packing is not None:
            for uuid in lease.uuids:
                self._judged(self.packing.left(uuid, trial_id), commands)

    def _measured(self, measured: Measurement) -> None:
        ledger = self.admission.ledger
        if measured.claims is not None:
            ledger.heed(measured.claims)
        numbers = {lease.holder: lease.number for lease in ledger.leases}
        for uuid, memory in measured.devices.items():
            own = measured.own.get(uuid, {})
            ledger.measure(uuid, memory, {numbers[t]: b for t, b in own.items() if t in numbers})
        if measured.host_free is not None:
            taken = {numbers[t]: b for t, b in measured.host_own.items() if t in numbers}
            ledger.measure_host(measured.host_free, taken)

    def _device_broke(self, stimulus: DeviceBroke, commands: list[Command]) -> None:
        uuid = stimulus.uuid
        self.admission.ledger.close(uuid, may_return=stimulus.may_return)
        commands.extend(
            StopAttempt(trial_id, _DEVICE_GRACE, EndedBy.DEVICE_BROKE)
            for trial_id, lease in self.running.items()
            if uuid in lease.uuids
        )

    def _device_is(self, stimulus: DeviceBack | DeviceHeld) -> None:
        if isinstance(stimulus, DeviceHeld) and stimulus.held:
            self.admission.ledger.close(stimulus.uuid, may_return=True)
        else:
            self.admission.ledger.reopen(stimulus.uuid)

    def _timed(self, stimulus: StepsTimed, commands: list[Command]) -> None:
        lease = self.running.get(stimulus.trial_id)
        if self.packing is None or lease is None or len(lease.uuids) != 1 or not stimulus.batches:
            return
        (uuid,) = lease.uuids
        each = stimulus.seconds / stimulus.batches
        verdict = self.packing.timed(uuid, stimulus.trial_id, each) if each > 0 else None
        self._judged(verdict, commands)

    def _judged(self, verdict: Verdict | None, commands: list[Command]) -> None:
        if verdict is None:
            return
        for uuid in verdict.devices:
            self.admission.ledger.limit(uuid, verdict.most)
            commands.append(LimitSharing(uuid, verdict.most, verdict.reason))

    def _stop(self, stimulus: StopRequested, commands: list[Command]) -> None:
        if self.stopping is None:
            self.stopping = stimulus
            if self.proposing or self.weighing:
                commands.append(CancelProposals())
        commands.extend(StopAttempt(trial_id, stimulus.grace) for trial_id in self.running)

    # ── what follows ───────────────────────────────────────────────────────

    def _settle(self, commands: list[Command]) -> list[Command]:
        """Launch what fits, ask for what will be needed, notice the end."""
        # With too few devices left nothing can be said of what fits; the search ends.
        if self.stopping is None and self._has_devices():
            blocked = self._launch(commands)
            self._propose(blocked, commands)
        busy = self.running or self.proposing or self.weighing or self.rejecting
        over = self.stopping or (self.dry and not self.ready)
        if not busy and over and not self.finished:
            self.finished = True
            commands.append(Finish(self.stopping.reason if self.stopping else None))
        self.story.extend(commands)
        return commands

    def _launch(self, commands: list[Command]) -> int:
        """Launch every trial that fits, large ones first; return how many wait for room."""
        blocked = 0
        for trial_id in self._in_order():
            if len(self.running) >= self.admission.resources.most:
                break
            waiting = self.ready[trial_id]
            match self.admission.admit(trial_id, waiting.need):
                case Lease() as lease:
                    del self.ready[trial_id]
                    self._launched(trial_id, lease, waiting.need, commands)
                case NotNow(reason):
                    blocked += 1
                    self.waits_for = reason
                case NeverFits(reason):
                    del self.ready[trial_id]
                    self.admission.ledger.unkeep(trial_id)
                    self.rejecting.add(trial_id)
                    commands.append(Reject(trial_id, reason))
        return blocked

    def _in_order(self) -> list[str]:
        """Return the ready trials: those that waited long, then large before small."""
        able = [t for t in self.ready if t not in self.running]

        def order(trial_id: str) -> tuple[bool, int]:
            waiting = self.ready[trial_id]
            request = self.admission.request(waiting.need)
            size = request.bytes if isinstance(request, MemoryRequest) else 0
            return waiting.overtaken < _PATIENCE, -size

        return sorted(able, key=order)

    def _launched(self, trial_id: str, lease: Lease, need: Need, commands: list[Command]) -> None:
        self.running[trial_id] = lease
        neighbours = max(
            (s.leases - 1 for s in self.admission.ledger.states() if s.uuid in lease.uuids),
            default=0,
        )
        if self.packing is not None:
            for uuid in lease.uuids:
                self.packing.joined(uuid, trial_id)
        commands.append(Launch(trial_id, lease, need, neighbours))
        for other, waiting in self.ready.items():
            if other in self.running:
                continue
            waiting.overtaken += 1
            if waiting.overtaken >= _PATIENCE:
                self.admission.keep(other, waiting.need)

    def _propose(self, blocked: int, commands: list[Command]) -> None:
        pending = len(self.ready) + len(self.weighing) + self.proposing
        wanted = self.admission.room() + self.ahead
        if blocked:
            # Whoever waits is joined by one more, which may fit beside it; by
            # more only as trials end, or all proposals would pile up.
            wanted = min(wanted, blocked + max(1, self.ahead))
        if not self.dry and wanted > pending:
            first, self.requests = self.requests + 1, self.requests + wanted - pending
            commands.extend(Propose(number) for number in range(first, self.requests + 1))
            self.proposing += wanted - pending

    def _has_devices(self) -> bool:
        states = self.admission.ledger.states()
        usable = sum(not state.broken for state in states)
        return not states or usable >= self.admission.resources.gpus_per_trial

    @property
    def is_stuck(self) -> bool:
        """Whether nothing happens until somebody else frees memory; ``waits_for`` says what is missing."""
        busy = self.running or self.proposing or self.weighing or self.rejecting
        return bool(self.ready) and not busy and self.stopping is None

    # ── what must always hold ──────────────────────────────────────────────

    def validate(self) -> None:
        """Check the invariants.

        Raises:
            InternalError: One is broken; carries the story.
        """
        ledger = self.admission.ledger
        if {lease.number for lease in ledger.leases} != {v.number for v in self.running.values()}:
            self._broken("a lease was lost, or is held by nobody")
        if len(self.running) > self.admission.resources.most:
            self._broken("more attempts run than may")
        for state in ledger.states():
            promised = sum(v.bytes for v in self.running.values() if state.uuid in v.uuids)
            if promised > self.admission.resources.device(state.uuid).total_bytes:
                self._broken(f"more than all of {state.uuid} was promised")
        if self.proposing < 0:
            self._broken("more proposals returned than were asked for")
        if self.weighing & self.ready.keys() or self.rejecting & self.running.keys():
            self._broken("a trial is in two places")
        busy = self.running or self.proposing or self.weighing or self.rejecting
        if self.finished and busy:
            self._broken("finished with work under way")

    def _broken(self, what: str) -> NoReturn:
        story = "\n".join(
            f"  -> {entry!r}" if isinstance(entry, Command) else repr(entry) for entry in self.story
        )
        raise InternalError(f"The scheduler is in a state that cannot be: {what}. Story:\n{story}")
