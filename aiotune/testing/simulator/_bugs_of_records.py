"""Bugs of records, of resuming, of retries and limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from aiotune import events, logs
from aiotune.failures import FailureKind
from aiotune.oracles import Oracle, _core, _oracle
from aiotune.oracles._book import Book
from aiotune.scheduler import _attempts
from aiotune.scheduler._commands import EndedBy
from aiotune.searchers import RandomSearcher
from aiotune.status import TrialStatus
from aiotune.store import _codec, _recovery
from aiotune.store._replay import ProjectState
from aiotune.testing.simulator._planting import bug, instead
from aiotune.testing.simulator._seams import Replacement

__all__ = ()


class _Now:
    """Says that something is durable, whether or not it is."""

    def __await__(self) -> Iterator[None]:
        return iter(())


# ── what is durable, and when ──────────────────────────────────────────────


def _hurried(kind: type[events.Event]) -> tuple[Replacement, ...]:
    """Do not wait for records of a kind."""

    def make(record: Any) -> Any:
        def hurried(self: Any, *facts: events.Event) -> Any:
            commit = record(self, *facts)
            return _Now() if any(isinstance(fact, kind) for fact in facts) else commit

        return hurried

    return instead(Book, "record", make)


def _altered(change: Callable[[events.Event], list[events.Event]]) -> tuple[Replacement, ...]:
    """Give the store other facts than the state."""

    def make(_: Any) -> Any:
        def record(self: Any, *facts: events.Event) -> Any:
            for fact in facts:
                self.state.apply(fact)
            return self._store.append(*[new for fact in facts for new in change(fact)])

        return record

    return instead(Book, "record", make)


@bug("a process is started before the record of its attempt is durable")
def _spawn_before_intent() -> tuple[Replacement, ...]:
    return _hurried(events.AttemptStarted)


@bug("the end of a trial is told before it is durable")
def _result_before_durable() -> tuple[Replacement, ...]:
    return _hurried(events.TrialEnded)


@bug("the end of a trial is recorded twice")
def _end_recorded_twice() -> tuple[Replacement, ...]:
    return _altered(lambda fact: [fact] * (1 + isinstance(fact, events.TrialEnded)))


@bug("the end of an attempt is not recorded")
def _attempt_end_not_recorded() -> tuple[Replacement, ...]:
    return _altered(lambda fact: [] if isinstance(fact, events.AttemptEnded) else [fact])


@bug("what becomes of an interrupted trial is not recorded")
def _requeue_not_recorded() -> tuple[Replacement, ...]:
    return _altered(lambda fact: [] if isinstance(fact, events.TrialRequeued) else [fact])


@bug("a retry is not recorded")
def _retry_not_recorded() -> tuple[Replacement, ...]:
    return _altered(lambda fact: [] if isinstance(fact, events.RetryScheduled) else [fact])


@bug("a torn tail is not cut off the journal")
def _torn_tail_not_cut() -> tuple[Replacement, ...]:
    return instead(_recovery, "_cut", lambda _: lambda *_: None)


@bug("a text is written to the journal as it is, control characters and all")
def _text_not_escaped() -> tuple[Replacement, ...]:
    return instead(_codec, "_ascii", lambda _: lambda text: text)


@bug("a long text is not cut before it is written to the journal")
def _text_not_cut() -> tuple[Replacement, ...]:
    return instead(_codec, "_short", lambda _: lambda event: event)


# ── resuming ───────────────────────────────────────────────────────────────


@bug("trials that were interrupted are forgotten when the project is opened")
def _queue_lost_on_resume() -> tuple[Replacement, ...]:
    return instead(_core, "take_up", lambda _: lambda *_: [])


@bug("a result that was written down is not looked for when the project is opened")
def _spool_ignored_on_resume() -> tuple[Replacement, ...]:
    async def nothing(*_: Any) -> None:
        return

    return instead(_oracle, "adopt_results", lambda _: nothing)


@bug("a replay leaves a trial in the queue that was handed out")
def _handed_out_stays_queued() -> tuple[Replacement, ...]:
    return instead(ProjectState, "_handed_out", lambda _: lambda *_: None)


@bug("a trial that was interrupted counts as failed")
def _interrupted_counts_as_failed() -> tuple[Replacement, ...]:
    def make(classify: Any) -> Any:
        def harsh(last: Any, ending: Any, *, ended_by: Any, **rest: Any) -> Any:
            mild = None if ended_by is EndedBy.SEARCH_STOPPED else ended_by
            return classify(last, ending, ended_by=mild, **rest)

        return harsh

    return instead(_attempts, "classify", make)


@bug("values are drawn from how many trials have ended, not from the trial's number alone")
def _values_depend_on_timing() -> tuple[Replacement, ...]:
    def make(propose: Any) -> Any:
        return lambda self, history, index: propose(
            self, history, index + 1000 * len(history.unfinished)
        )

    return instead(RandomSearcher, "propose", make)


# ── retries and limits ─────────────────────────────────────────────────────


def _other_retry(change: Callable[[events.RetryScheduled], Any]) -> tuple[Replacement, ...]:
    def make(retry: Any) -> Any:
        def changed(*args: Any) -> Any:
            event = retry(*args)
            return None if event is None else change(event)

        return changed

    return instead(_core, "_retry", make)


@bug("a failure is counted twice")
def _retry_counted_twice() -> tuple[Replacement, ...]:
    return _other_retry(lambda e: msgspec.structs.replace(e, failures=e.failures + 1))


@bug("a trial is run once more than it may be")
def _one_retry_too_many() -> tuple[Replacement, ...]:
    def make(retry: Any) -> Any:
        return lambda trial, failure, policy: retry(
            trial, failure, dataclasses.replace(policy, max_retries=policy.max_retries + 1)
        )

    return instead(_core, "_retry", make)


@bug("a trial is not run again at all")
def _no_retry() -> tuple[Replacement, ...]:
    return _other_retry(lambda _: None)


@bug("a FailedTrialError is answered with a retry")
def _failed_trial_retried() -> tuple[Replacement, ...]:
    def make(status_after: Any) -> Any:
        def lenient(failure: Any) -> TrialStatus:
            status: TrialStatus = status_after(failure)
            return TrialStatus.INVALID if status is TrialStatus.FAILED else status

        return lenient

    def counted(before: Any) -> Any:
        # Or it would be run again for ever.
        return property(lambda kind: kind is FailureKind.FAILED_TRIAL or before.fget(kind))

    return (
        *instead(_attempts, "status_after", make),
        *instead(FailureKind, "may_be_retried", lambda _: property(lambda _: True)),
        *instead(FailureKind, "uses_up_a_retry", counted),
    )


@bug("every failure counts, whoever's fault it is")
def _all_failures_count() -> tuple[Replacement, ...]:
    return instead(FailureKind, "uses_up_a_retry", lambda _: property(lambda _: True))


@bug("a retry is not logged")
def _retry_not_logged() -> tuple[Replacement, ...]:
    return instead(logs, "TRIAL_RETRY", lambda _: "trial_attempt_failed")


@bug("the limit of failures in a row is not looked at")
def _failures_in_a_row_ignored() -> tuple[Replacement, ...]:
    return instead(_oracle, "check_consecutive", lambda _: lambda *_: None)


@bug("one failure in a row too few ends the search")
def _aborted_too_early() -> tuple[Replacement, ...]:
    def make(check: Any) -> Any:
        def early(state: Any, policy: Any, trial: Any) -> None:
            limit = policy.max_consecutive
            less = None if limit is None else max(1, limit - 1)
            check(state, dataclasses.replace(policy, max_consecutive=less), trial)

        return early

    return instead(_oracle, "check_consecutive", make)


@bug("one trial more than the budget is created")
def _budget_off_by_one() -> tuple[Replacement, ...]:
    def more(self: Any) -> int | None:
        left = None if self.max_trials is None else self.max_trials - len(self.trials)
        return None if left is None else max(0, left + 1 + self._book.state.rejected)

    owner = next(cls for cls in Oracle.__mro__ if "remaining_trials" in cls.__dict__)
    return instead(owner, "remaining_trials", lambda _: more)


@bug("a trial that was rejected is not replaced")
def _rejected_not_replaced() -> tuple[Replacement, ...]:
    def fewer(self: Any) -> int | None:
        return None if self.max_trials is None else max(0, self.max_trials - len(self.trials))

    owner = next(cls for cls in Oracle.__mro__ if "remaining_trials" in cls.__dict__)
    return instead(owner, "remaining_trials", lambda _: fewer)
