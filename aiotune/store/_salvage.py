"""What is whole in a damaged journal, and what can be made of it without contradiction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiotune._disk import read_private
from aiotune.errors import AiotuneError
from aiotune.events import Event, SearchStarted, TrialCreated, TrialEnded
from aiotune.objective import Objective, objective_from_dicts
from aiotune.store._codec import BadLine, decode_line
from aiotune.store._recovery import record_starts
from aiotune.store._replay import ProjectState
from aiotune.store._segment import SegmentBegan, began

__all__ = ("Damage", "Record", "Scanned", "Story", "consistent", "scan")


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no record.

    Attributes:
        path: The segment.
        start: Offset of the first byte.
        end: Offset after the last one.
    """

    path: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record.

    Attributes:
        path: The segment.
        offset: Where its line begins.
        seq: Its number.
        line: The line.
        event: The event; ``None`` of a kind that may be skipped.
        header: What it says of the segment before, if it is a segment's first record.
    """

    path: Path
    offset: int
    seq: int
    line: bytes
    event: Event | None
    header: SegmentBegan | None = None


@dataclass(frozen=True, slots=True)
class Scanned:
    """All that is in a journal's segments.

    Attributes:
        records: Whole records in the order of their numbers.
        damage: What is none.
        repeated: Whole records whose number was there before.
        lost: Numbers that are missing, as pairs of the first and the last one.
    """

    records: list[Record]
    damage: list[Damage]
    repeated: list[Record]
    lost: list[tuple[int, int]]


def scan(paths: Sequence[Path]) -> Scanned:
    """Find every whole record, wherever it is.

    Raises:
        JournalCorrupt: A record was written by a newer version, which alone can tell what it means.
        OSError: A segment cannot be read.
    """
    found: dict[int, Record] = {}
    damage: list[Damage] = []
    repeated: list[Record] = []
    for path in paths:
        end = 0
        data = read_private(path)
        for record in _records(path, data):
            if record.offset > end:
                damage.append(Damage(path, end, record.offset))
            end = record.offset + len(record.line)
            if record.seq in found:
                repeated.append(record)
            else:
                found[record.seq] = record
        if end < len(data):
            damage.append(Damage(path, end, len(data)))
    numbers = sorted(found)
    return Scanned([found[n] for n in numbers], damage, repeated, list(_gaps(numbers)))


def _records(path: Path, data: bytes) -> Iterator[Record]:
    """Yield the whole records; after a bad line, the next place where one may begin is tried."""
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start) + 1 or len(data)
        try:
            envelope, event = decode_line(data[start:stop])
        except BadLine:
            start = next(record_starts(data, start + 1), len(data))
            continue
        line = data[start:stop]
        header = began(line) if event is None else None
        yield Record(path, start, envelope.seq, line, event, header)
        start = stop


def _gaps(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    expected = 0
    for number in numbers:
        if number > expected:
            yield expected, number - 1
        expected = number + 1


@dataclass(frozen=True, slots=True)
class Story:
    """Events that contradict each other nowhere.

    Attributes:
        kept: The events, each with the record that it is from; ``None``: it was made up.
        dropped: Whole records that make no sense without what is lost, and why.
        made: Ids of trials whose creation was lost and was made up.
        ended: How many trials have ended.
    """

    kept: list[tuple[Event, Record | None]]
    dropped: list[tuple[Record, str]]
    made: list[str]
    ended: int


def consistent(scanned: Scanned) -> Story:
    """Tell a journal's story with what is left of it.

    A trial whose creation was lost is created again, since the trials after it
    count on its index: with the values that its end tells, and otherwise
    without any, so that it runs again; what was drawn at random is then drawn
    from the same numbers.
    """
    known = [record for record in scanned.records if record.event is not None]
    lost = sum(last - first + 1 for first, last in scanned.lost)
    teller = _Teller([record.event for record in known if record.event is not None], lost)
    for record in known:
        teller.take(record)
    return teller.story()


class _Teller:
    """Folds what is left, event by event, and fills the gaps that later events show.

    Args:
        events: All that is left.
        lost: How many records are missing; no more trials than these are made up.
    """

    def __init__(self, events: Sequence[Event], lost: int) -> None:
        searches = [event for event in events if isinstance(event, SearchStarted)]
        objective = (
            objective_from_dicts(searches[-1].objective) if searches else Objective("score", "min")
        )
        self._state = ProjectState(seed=0, objective=objective)
        self._ends = {event.trial_id: event for event in events if isinstance(event, TrialEnded)}
        self._lost = lost
        self._kept: list[tuple[Event, Record | None]] = []
        self._dropped: list[tuple[Record, str]] = []
        self._made: list[str] = []

    def story(self) -> Story:
        """Return what was told."""
        return Story(self._kept, self._dropped, self._made, len(self._state.end_order))

    def take(self, record: Record) -> None:
        """Go on with the next record, if it fits what was told before."""
        assert record.event is not None
        self._fill_before(record.event)
        try:
            self._state.apply(record.event)
        except (AiotuneError, ValueError, KeyError, TypeError) as error:
            self._dropped.append((record, f"{type(error).__name__}: {error}"))
        else:
            self._kept.append((record.event, record))

    def _fill_before(self, event: Event) -> None:
        """Create the trials that must have been there before an event."""
        trial_id = getattr(event, "trial_id", None)
        if trial_id is None or trial_id in self._state.trials or not trial_id.isdecimal():
            return
        there = len(self._state.tried)
        needed = event.index if isinstance(event, TrialCreated) else int(trial_id) + 1
        if needed - there > self._lost - len(self._made):
            return  # as many cannot have been lost: the event itself is wrong
        for index in range(there, needed):
            self._make_up(index, f"{index:0{len(trial_id)}d}")

    def _make_up(self, index: int, trial_id: str) -> None:
        end = self._ends.get(trial_id)
        values = {} if end is None else end.values
        created = TrialCreated(trial_id=trial_id, index=index, values=values, stream=0)
        self._state.apply(created)
        self._kept.append((created, None))
        self._made.append(trial_id)
