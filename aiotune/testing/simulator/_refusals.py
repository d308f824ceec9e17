"""Was a refusal justified? Judged from what devices have and models take, not from what was predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiotune import events
from aiotune.oracles import Oracle
from aiotune.status import TrialStatus
from aiotune.testing.simulator._devices import SimDevices
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._history import Record, Wrong, read_records
from aiotune.testing.simulator._monitors import Truth
from aiotune.testing.simulator._plan import Plan
from aiotune.testing.simulator._training import size_of
from aiotune.wire import RunAttempt
from aiotune_gpu import MIB

__all__ = ("check_refusals", "note_refusals")

_CONTEXT = 600 * MIB
_ALONE, _LIKE = 0.9, 0.98
"""Of the largest device: what a trial must have had there, and what counts as one as large."""
_MOST_FOREIGN = 6
_BY_MEMORY = frozenset({"oversized", "out_of_memory"})


@dataclass(slots=True)
class _Trial:
    """What the records say of one trial.

    Attributes:
        index: Its number.
        started: The record of its last attempt.
        failures: How its attempts failed, in order, as (kind, cause).
        status: How it ended.
        kind: Of the failure that it ended with.
    """

    index: int
    started: Record = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    status: str = ""
    kind: str = ""


def note_refusals(oracle: Oracle, devices: SimDevices, each: int, truth: Truth) -> None:
    """Note, whenever a trial is refused, which devices could have been had at that moment.

    Args:
        oracle: Whose trials they are; before it is opened.
        devices: Those of this life.
        each: How many of them a trial gets.
        truth: Takes the notes.
    """
    record = oracle.record

    def noted(*facts: events.Event) -> Any:
        for fact in facts:
            if isinstance(fact, events.TrialEnded) and fact.status is TrialStatus.REJECTED:
                left = devices.within_reach()
                # With too few for any trial the search ends, and may say nothing of what fits.
                enough = len(left) >= each or devices.is_undecided()
                truth.refused[fact.trial_id] = left if enough else devices.capacities()
        return record(*facts)

    named: Any = oracle
    named.record = noted  # an instance's own: a subclass would have another name in the journal


def check_refusals(
    segments: Sequence[bytes], plan: Plan, truth: Truth, wrong: Wrong
) -> Counter[str]:
    """Judge each refusal that a journal tells of.

    Args:
        segments: The bytes of the journal's segments, torn tail cut.
        plan: What the models are, and what their programs do.
        truth: What the processes did, and what there was when trials were refused.
        wrong: Called with an invariant's number and a sentence.

    Returns:
        How much there was to judge, by what it was.
    """
    judged: Counter[str] = Counter()
    orders = {order.attempt_id: order for _, order in truth.launched}
    for name, trial in _trials(segments).items():
        short = any(kind == "out_of_memory" for kind, _ in trial.failures)
        if trial.status == "COMPLETED":
            judged["completed after memory ran out"] += short
        if trial.status not in {"REJECTED", "FAILED"} or trial.kind not in _BY_MEMORY:
            continue
        could = truth.refused.get(name)
        if could is None:
            wrong("I30", f"trial {name} is {trial.status} for {trial.kind}, and nobody refused it")
            continue
        refusal = _Refusal(plan, trial, could, orders.get(trial.started.get("attempt_id", "")))
        judged["refused"] += 1
        judged["refused while a device was out of use"] += len(could) < plan.setup.gpus
        judged[f"refused {'after it ran' if trial.failures else 'before it ran'}"] += 1
        reason = refusal.unjustified()
        if reason:
            wrong("I30", f"trial {name} was refused ({trial.kind}): {reason}")
    return judged


def _trials(segments: Sequence[bytes]) -> dict[str, _Trial]:
    trials: dict[str, _Trial] = {}
    for record in read_records(segments, lambda *_: None):  # its form is judged elsewhere
        match record["type"]:
            case "trial_created":
                trials[record["trial_id"]] = _Trial(record["index"])
            case "attempt_started":
                trials[record["trial_id"]].started = record
            case "attempt_ended" if record.get("failure"):
                failure = record["failure"]
                cause = (failure.get("memory") or {}).get("cause", "host")
                trials[record["trial_id"]].failures.append((failure["kind"], cause))
            case "trial_ended":
                trial = trials[record["trial_id"]]
                trial.status = record["status"]
                trial.kind = (record.get("failure") or {}).get("kind", "")
            case _:
                pass
    return trials


@dataclass(frozen=True, slots=True)
class _Refusal:
    """One trial that was refused.

    Attributes:
        plan: Decides what its model is.
        trial: What the records say of it.
        could: What each device could give that the search might have got then.
        last: What its last process was told, if it had one.
    """

    plan: Plan
    trial: _Trial
    could: Mapping[str, int]
    last: RunAttempt | None

    def unjustified(self) -> str:
        """Return why it should not have been refused; empty if it is right."""
        if self.trial.kind == "out_of_memory":
            return next(self._ran_out_too_early(), "")
        fault = self.plan.fault_of(self.last) if self.last is not None else None
        if fault is Fault.OVERSIZED and self.trial.failures[-1][0] == "oversized":
            return ""  # its own program says so
        size, peak = size_of(self.plan, self.trial.index)
        limit = self.plan.setup.parameters
        if self.plan.setup.weighs and limit is not None and size.parameters > limit:
            return ""
        takes = peak + _CONTEXT * (self.plan.setup.gpus > 0)
        if takes > self._largest:
            return ""
        return f"it takes {takes} bytes, and can have {self._largest} of {self._told()}"

    def _ran_out_too_early(self) -> Iterator[str]:
        """Yield why an attempt that ran out of memory should have been followed by another."""
        causes = [cause for kind, cause in self.trial.failures if kind == "out_of_memory"]
        started = self.trial.started
        if causes[-1] == "foreign":
            if causes.count("foreign") < _MOST_FOREIGN:
                yield f"others were in the way {causes.count('foreign')} times only"
        elif not started["alone"]:
            yield f"it was never alone; its last attempt had {started['reservation']} bytes"
        elif causes[-1] != "host" and started["devices"]:
            if started["reservation"] < _ALONE * self._largest:
                yield (
                    f"its last attempt had {started['reservation']} bytes, and there are "
                    f"{self._largest} of {self._told()}"
                )
            # One that was lost meanwhile is measured by what it had given.
            elif any(
                self.could.get(d, self._largest) < _LIKE * self._largest for d in started["devices"]
            ):
                yield f"its last attempt was on {started['devices']}; there are {self._told()}"

    @property
    def _largest(self) -> int:
        """What each device of a trial can give, if it gets the largest ones."""
        sizes, each = sorted(self.could.values(), reverse=True), self.plan.setup.each
        return sizes[each - 1] if len(sizes) >= each else 0

    def _told(self) -> str:
        return f"{dict(self.could)}, {self.plan.setup.each} for each trial"
