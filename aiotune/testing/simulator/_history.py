"""Judges a history from its bytes alone: shares no code with the product, not even the codec."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiotune.testing.simulator._monitors import Truth
from aiotune.testing.simulator._plan import Setup

__all__ = (
    "History",
    "Record",
    "TrialRecord",
    "check_history",
    "check_retries_logged",
    "read_records",
    "recorded_retries",
)

Record = dict[str, Any]
Wrong = Callable[[str, str], None]

_COUNTED = frozenset("error not_finite exited crashed killed timed_out stalled".split())
_NEVER_AGAIN = frozenset({"failed_trial", "oversized", "fatal"})
_FINAL = frozenset({"COMPLETED", "FAILED", "REJECTED"})
_CONTROL = re.compile(rb"[\x00-\x1f]")
_LONGEST = (64 << 10) + 9
_MOST_LOST = 5
_MOST_REJECTED = 100


def read_records(segments: Sequence[bytes], wrong: Wrong) -> Iterator[Record]:
    """Yield the records of a journal that was repaired, checking each line's form.

    Args:
        segments: All bytes of each segment, in order.
        wrong: Called with an invariant's number and a sentence.
    """
    number = 0
    for index, data in enumerate(segments):
        position = 0
        for line in data.splitlines(keepends=True):
            record = _read_line(line, number, wrong)
            if record is None:
                return
            if not 0 <= record["b"] <= position:
                wrong("I24", f"line {number} says that its batch begins at {record['b']}")
            if index and position == 0:
                _check_beginning(record, segments[index - 1], wrong)
            yield record
            number += 1
            position += len(line)


def _read_line(line: bytes, number: int, wrong: Wrong) -> Record | None:
    text = line[9:-1]
    if not line.endswith(b"\n") or line[:8] != b"%08x" % zlib.crc32(text):
        wrong("I24", f"line {number} of the journal is not whole: {line[:60]!r}")
        return None
    if len(line) > _LONGEST or not text.isascii() or _CONTROL.search(text):
        wrong("I24", f"line {number} has {len(line)} bytes or control characters")
    record: Record = json.loads(text)
    if record["seq"] != number:
        wrong("I7", f"line {number} has the number {record['seq']}")
    return record


def _check_beginning(record: Record, before: bytes, wrong: Wrong) -> None:
    told = (record["type"], record.get("length"), record.get("crc32"))
    if told != ("segment_began", len(before), zlib.crc32(before)):
        wrong("I24", f"a segment begins with {told}, after one of {len(before)} bytes")


@dataclass(slots=True)
class TrialRecord:
    """One trial as the records tell it.

    Attributes:
        trial_id: Its id.
        values: As they were proposed.
        budget: The searcher's control data.
        attempts: Number of the last attempt.
        open: The attempt that has started and not ended.
        last: The last attempt.
        lost: How often it was lost, with the tuner or alone.
        counted: Failures that used up a retry, as far as another attempt followed.
        failure: Kind of the last attempt's failure.
        concluded: Whether it was decided what follows from the last attempt.
        status: How it ended; empty before.
        score: Of a complete trial.
        final_values: With what was discovered.
    """

    trial_id: str
    values: dict[str, Any]
    budget: dict[str, Any]
    attempts: int = 0
    open: str | None = None
    last: str | None = None
    lost: int = 0
    counted: int = 0
    failure: str | None = None
    concluded: bool = True
    status: str = ""
    score: float | None = None
    final_values: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class History:
    """What the records add up to.

    Attributes:
        trials: All trials, by id, in order of creation.
        retries: How often each (trial, next attempt) was scheduled.
        ends: Reasons of the ``search_ended`` records.
    """

    trials: dict[str, TrialRecord] = field(default_factory=dict)
    retries: Counter[tuple[str, int]] = field(default_factory=Counter)
    ends: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether the last search came to its own end."""
        return bool(self.ends) and self.ends[-1] == "finished"

    def by_status(self) -> Counter[str]:
        """Count the trials by how they ended."""
        return Counter(trial.status or "unfinished" for trial in self.trials.values())


def check_history(segments: Sequence[bytes], setup: Setup, truth: Truth, wrong: Wrong) -> History:
    """Judge all records of a project, and compare them with what really happened.

    Args:
        segments: The bytes of the journal's segments, torn tail cut.
        setup: What was searched.
        truth: What the processes did.
        wrong: Called with an invariant's number and a sentence.
    """
    judge = _Judge(setup, truth, wrong)
    for record in read_records(segments, wrong):
        judge.take(record)
    judge.compare_with_truth()
    return judge.history


class _Judge:
    """Goes through the records once."""

    def __init__(self, setup: Setup, truth: Truth, wrong: Wrong) -> None:
        self._setup, self._truth, self._wrong = setup, truth, wrong
        self.history = History()
        self._attempt_ids: set[str] = set()
        self._budget: int | None = None
        self._in_a_row = self._most_in_a_row = self._rejected_in_a_row = 0

    def take(self, record: Record) -> None:
        """Judge one record."""
        judge = getattr(self, f"_{record['type']}", None)
        if judge is not None:
            judge(record)

    def _trial(self, record: Record) -> TrialRecord:
        trial = self.history.trials.get(record["trial_id"])
        if trial is None:
            self._wrong("I7", f"{record['type']} of {record['trial_id']}, which was never created")
            trial = self.history.trials[record["trial_id"]] = TrialRecord(
                record["trial_id"], {}, {}
            )
        if trial.status:
            self._wrong("I6", f"{record['type']} of {trial.trial_id} after its end")
        return trial

    # ── one method a kind of record ────────────────────────────────────────

    def _project_opened(self, record: Record) -> None:
        # Whoever ran is gone: its open attempts must be taken up before they begin anew.
        for trial in self.history.trials.values():
            trial.concluded = trial.concluded and trial.open is None

    def _search_started(self, record: Record) -> None:
        self._budget = record["max_trials"]
        self._in_a_row = self._most_in_a_row = self._rejected_in_a_row = 0

    def _trial_created(self, record: Record) -> None:
        trials, name = self.history.trials, record["trial_id"]
        if name in trials or record["index"] != len(trials):
            self._wrong(
                "I5", f"trial {name} is created as number {record['index']} of {len(trials)}"
            )
        trials[name] = TrialRecord(name, record["values"], record.get("budget", {}))
        rejected = sum(trial.status == "REJECTED" for trial in trials.values())
        if self._budget is not None and len(trials) - rejected > self._budget:
            self._wrong("I4", f"{len(trials)} trials less {rejected}, where {self._budget} may be")

    def _attempt_started(self, record: Record) -> None:
        trial, attempt_id = self._trial(record), record["attempt_id"]
        if trial.open is not None:
            self._wrong("I7", f"{attempt_id} starts, and {trial.open} has not ended")
        if not trial.concluded:
            self._wrong("I7", f"{attempt_id} starts, and nothing was decided after {trial.last}")
        if record["attempt"] != trial.attempts + 1 or attempt_id in self._attempt_ids:
            self._wrong("I5", f"{attempt_id} is number {record['attempt']} after {trial.attempts}")
        self._attempt_ids.add(attempt_id)
        trial.attempts, trial.open, trial.last = record["attempt"], attempt_id, attempt_id
        trial.failure = None

    def _attempt_ended(self, record: Record) -> None:
        trial = self._trial(record)
        if trial.open != record["attempt_id"]:
            self._wrong("I7", f"{record['attempt_id']} ends, and {trial.open} is open")
        trial.open, trial.concluded = None, False
        failure = record.get("failure")
        trial.failure = failure["kind"] if failure else None
        if (trial.failure is None) != (record["outcome"] == "COMPLETED"):
            self._wrong(
                "I7", f"{record['attempt_id']} ends as {record['outcome']} of {trial.failure}"
            )
        if trial.failure == "stalled" and record["attempt_id"] not in self._truth.hung:
            self._wrong("I26", f"{record['attempt_id']} was stopped as stalled, and did not hang")
        trained = self._truth.trained.get(record["attempt_id"], math.inf)
        if trial.failure == "timed_out" and trained < self._setup.timeout:
            self._wrong("I28", f"{record['attempt_id']} ran out of time after {trained:.1f} s")
        if trial.failure == "terminated" and record["attempt_id"] in self._truth.with_the_job:
            self._wrong("I34", f"{record['attempt_id']} was ended with the job, and not cancelled")
        killed = failure is not None and failure.get("signal") == "SIGKILL"
        if killed and trial.failure == "out_of_memory":
            self._died_for_memory(record["attempt_id"])
        if trial.failure in {"cancelled", "fatal"}:
            trial.concluded = False  # a later life takes it up

    def _retry_scheduled(self, record: Record) -> None:
        trial, kind = self._trial(record), record["failure"]["kind"]
        self._failure_is_told(trial, kind)
        trial.counted += kind in _COUNTED
        key = (trial.trial_id, record["next_attempt"])
        self.history.retries[key] += 1
        if kind in _NEVER_AGAIN:
            self._wrong("I9", f"trial {trial.trial_id} is run again after {kind}")
        if record["next_attempt"] != trial.attempts + 1 or self.history.retries[key] > 1:
            self._wrong("I10", f"retry {key} is scheduled after {trial.attempts} attempts")
        expected = (trial.counted, self._setup.retries - trial.counted)
        if (record["failures"], record["retries_left"]) != expected or expected[1] < 0:
            self._wrong(
                "I8",
                f"trial {trial.trial_id} has {record['failures']} failures and "
                f"{record['retries_left']} retries left, where {expected} is right",
            )
        trial.concluded = True

    def _trial_requeued(self, record: Record) -> None:
        trial = self._trial(record)
        trial.open, trial.concluded = None, True
        if record["lost"] > trial.lost and trial.last in self._truth.together:
            self._wrong("I34", f"{trial.last} was ended with others, and counts as lost")
        trial.lost = record["lost"]
        if record.get("lost", 0) > _MOST_LOST:
            self._wrong(
                "I8", f"trial {trial.trial_id} was lost {record['lost']} times and runs again"
            )

    def _trial_ended(self, record: Record) -> None:
        trial = self._trial(record)
        trial.status, trial.final_values = record["status"], record["values"]
        trial.score = record.get("score")
        failure = (record.get("failure") or {}).get("kind")
        if trial.open is not None and failure != "lost":
            self._wrong("I7", f"trial {trial.trial_id} ends, and {trial.open} has not")
        self._count(trial.status)
        match trial.status:
            case "COMPLETED":
                self._score_is_true(trial)
            case "FAILED":
                self._failure_is_told(trial, failure)
                self._had_its_retries(trial, failure)
            case "REJECTED":
                pass
            case other:
                self._wrong("I6", f"trial {trial.trial_id} ends as {other}")

    def _search_ended(self, record: Record) -> None:
        reason, limit = record["reason"], self._setup.consecutive
        self.history.ends.append(reason)
        # Others that still ran may have ended well since.
        over = limit is not None and self._most_in_a_row >= limit
        over = over or self._rejected_in_a_row >= _MOST_REJECTED
        if reason == "aborted" and not over:
            self._wrong("I19", f"aborted after {self._most_in_a_row} failures in a row")
        if reason != "finished":
            return
        if over:
            self._wrong("I19", f"went on after {self._most_in_a_row} failures in a row")
        left = [t.trial_id for t in self.history.trials.values() if t.status not in _FINAL]
        if left:
            self._wrong("I14", f"the search finished, and {left} have not ended")
        tried = sum(t.status != "REJECTED" for t in self.history.trials.values())
        if self._setup.oracle == "random" and tried != self._budget:
            self._wrong("I4", f"the search finished with {tried} of {self._budget} trials")

    def _died_for_memory(self, attempt_id: str) -> None:
        if attempt_id not in self._truth.lacked_memory:
            self._wrong("I45", f"the kernel is said to have killed {attempt_id} for its memory")

    # ── what must follow ───────────────────────────────────────────────────

    def _count(self, status: str) -> None:
        self._rejected_in_a_row = self._rejected_in_a_row + 1 if status == "REJECTED" else 0
        if status == "COMPLETED":
            self._in_a_row = 0
        elif status == "FAILED":
            self._in_a_row += 1
            self._most_in_a_row = max(self._most_in_a_row, self._in_a_row)

    def _failure_is_told(self, trial: TrialRecord, kind: str | None) -> None:
        if kind in {"not_finite", "lost"}:
            return  # the attempt itself succeeded, or nobody was there to see it
        if trial.failure != kind:
            self._wrong("I7", f"trial {trial.trial_id} goes on from {kind}; it was {trial.failure}")

    def _had_its_retries(self, trial: TrialRecord, kind: str | None) -> None:
        if kind == "terminated" and trial.lost < _MOST_LOST:
            self._wrong(
                "I8", f"trial {trial.trial_id} fails, ended by others {trial.lost + 1} times"
            )
        counted = trial.counted + (kind in _COUNTED)
        if kind in _COUNTED and counted <= self._setup.retries:
            self._wrong("I8", f"trial {trial.trial_id} fails for good after {counted} failures")
        if counted > self._setup.retries + 1:
            self._wrong("I8", f"trial {trial.trial_id} failed {counted} times before its end")

    def _score_is_true(self, trial: TrialRecord) -> None:
        done = self._truth.results.get(trial.last or "")
        if done is None:
            self._wrong(
                "I11", f"trial {trial.trial_id} is complete, and {trial.last} had no result"
            )
        elif trial.score not in done.metrics.values():
            self._wrong(
                "I11",
                f"trial {trial.trial_id} has {trial.score}; {trial.last} computed {done.metrics}",
            )
        elif trial.final_values != done.values:
            self._wrong(
                "I11", f"trial {trial.trial_id} has other values than {trial.last} ran with"
            )

    def compare_with_truth(self) -> None:
        """Look for results and attempts that the records do not know."""
        for _, order in self._truth.launched:
            if order.attempt_id not in self._attempt_ids:
                self._wrong("I2", f"{order.attempt_id} ran, and no record says so")
        if not self.history.finished:
            return
        for attempt_id, (life, done) in self._truth.heard.items():
            if life in self._truth.cut_short and attempt_id not in self._truth.on_disk:
                continue  # nobody who lives knows of it
            trial = self.history.trials.get(attempt_id.partition("-")[0])
            finite = all(math.isfinite(value) for value in done.metrics.values())
            if finite and (
                trial is None or trial.status != "COMPLETED" or trial.last != attempt_id
            ):
                self._wrong("I13", f"the result of {attempt_id} was heard and is not kept")


def recorded_retries(segments: Sequence[bytes]) -> set[tuple[str, int]]:
    """Return the retries, as (trial, next attempt), in the whole lines of a journal not yet repaired."""
    lines = [line for data in segments for line in data.splitlines()]
    whole = (line[9:] for line in lines if line[:8] == b"%08x" % zlib.crc32(line[9:]))
    records = [json.loads(text) for text in whole if b'"retry_scheduled"' in text]
    return {(record["trial_id"], record["next_attempt"]) for record in records}


def check_retries_logged(history: History, logged: Sequence[tuple[str, int]], wrong: Wrong) -> None:
    """Compare the retries of the journal with those that the log told.

    Args:
        history: What the records add up to.
        logged: One (trial, next attempt) for each log record.
        wrong: As for :func:`check_history`.
    """
    told = Counter(logged)
    for key, count in history.retries.items():
        if told[key] != count:
            wrong("I10", f"retry {key} is recorded {count} times and was logged {told[key]} times")
