"""The doctor: names every damage, changes nothing unasked, and saves what fits together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aiotune
from aiotune.errors import JournalCorrupt, ProjectError, ProjectLocked
from aiotune.events import Event, TrialCreated, TrialEnded
from aiotune.store import Layout, read_events
from aiotune.store import _journal as journal_module
from aiotune.store._codec import decode_line
from aiotune.store._doctor import diagnose, repair
from aiotune.store._lock import ProjectLock

_TRIALS = 6


class _Search(aiotune.RandomSearch):
    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))


class _Grid(aiotune.GridSearch):
    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        return float(trial.hyperparameters.Int("x", 1, _TRIALS))


def _search(folder: Path, kind: type[Any] = _Search) -> dict[str, float | None]:
    tuner = kind(max_trials=_TRIALS, seed=4, directory=folder, project_name="p", executor="inline")
    result = asyncio.run(tuner.search(verbose=0))
    return {trial.trial_id: trial.score for trial in result.trials}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Give a project with six ended trials, in one segment."""
    _search(tmp_path)
    return Layout(tmp_path, "p")


def _lines(layout: Layout) -> list[bytes]:
    return layout.segment(1).read_bytes().splitlines(keepends=True)


def _place(layout: Layout, kind: type[Event], number: int) -> int:
    """Return which line holds the n-th event of a kind."""
    events = [decode_line(line)[1] for line in _lines(layout)]
    return [place for place, event in enumerate(events) if isinstance(event, kind)][number]


def _break(layout: Layout, *places: int) -> None:
    lines = _lines(layout)
    for place in places:
        lines[place] = lines[place][:30] + b"#" + lines[place][31:]
    layout.segment(1).write_bytes(b"".join(lines))


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _scores(layout: Layout) -> dict[str, float | None]:
    return {e.trial_id: e.score for e in read_events(layout) if isinstance(e, TrialEnded)}


def test_whole_project_needs_nothing(layout: Layout) -> None:
    """It is said to be whole, and a repair changes not a byte."""
    before = _tree(layout.project_dir)
    diagnosis, aside = repair(layout)

    assert (diagnosis.whole, aside) == (True, None)
    assert diagnosis.lines() == [f"{len(_lines(layout))} records, and every one of them is whole."]
    assert {**_tree(layout.project_dir), "LOCK": b""} == {**before, "LOCK": b""}


def test_unfinished_batch_is_no_damage(layout: Layout) -> None:
    """What a crash leaves is told, and left to the next search."""
    with layout.segment(1).open("ab") as file:
        file.write(b"0badc0de half")
    diagnosis = diagnose(layout)

    assert (diagnosis.whole, diagnosis.unfinished) == (True, 13)
    assert "The last batch is not finished (13 bytes), as after a crash." in diagnosis.lines()[1]


def test_damage_is_named_and_nothing_is_changed(layout: Layout) -> None:
    """File, bytes, records, and what would be left; the files are as they were."""
    place = _place(layout, TrialEnded, 2)
    start = len(b"".join(_lines(layout)[:place]))
    end = start + len(_lines(layout)[place])
    _break(layout, place)
    before = _tree(layout.project_dir)
    diagnosis = diagnose(layout)

    assert diagnosis.whole is False
    assert diagnosis.lines()[0].startswith(
        f"The journal {layout.segment(1)} is damaged at byte {start} of"
    )
    assert diagnosis.lines()[1:] == [
        f"Damaged: 000001.jsonl, bytes {start} to {end - 1}.",
        f"Lost: record {place}.",
        f"A repair keeps {len(_lines(layout)) - 1} records, with 5 ended trials.",
    ]
    assert _tree(layout.project_dir) == before


def test_repair_keeps_all_else_and_the_damaged_files(layout: Layout) -> None:
    """Records before and behind the damage stay as they were, the search opens, and the lost trial runs again."""
    scores = _scores(layout)
    lost = f"{2:0{len(next(iter(scores)))}d}"
    _break(layout, _place(layout, TrialEnded, 2))
    damaged = layout.segment(1).read_bytes()
    _, aside = repair(layout)
    kept = _scores(layout)

    assert aside is not None
    assert (aside / "000001.jsonl").read_bytes() == damaged
    assert kept == {trial: score for trial, score in scores.items() if trial != lost}
    assert diagnose(layout).whole
    assert _search(layout.project_dir.parent) == scores


@pytest.mark.parametrize("kind", [_Search, _Grid])
@pytest.mark.parametrize("with_end", [False, True], ids=["creation", "creation and end"])
def test_trial_whose_creation_is_lost_is_created_again(
    tmp_path: Path, kind: type[Any], with_end: bool
) -> None:
    """With the values of its end if that is there, else to be run again; later trials keep their places."""
    scores = _search(tmp_path, kind)
    layout = Layout(tmp_path, "p")
    places = [_place(layout, TrialCreated, 1)]
    if with_end:
        places.append(_place(layout, TrialEnded, 1))
    _break(layout, *places)
    diagnosis, _ = repair(layout)
    created = [e for e in read_events(layout) if isinstance(e, TrialCreated)]

    assert diagnosis.story is not None
    assert diagnosis.story.made == [sorted(scores)[1]]
    assert [e.trial_id for e in created] == sorted(scores)
    assert len(_scores(layout)) == _TRIALS - with_end
    again = _search(tmp_path, kind)
    if with_end and kind is _Grid:
        # Nothing says any more which point of the grid it was: it is drawn.
        again["1"] = scores["1"]
    assert again == scores


def test_every_single_damaged_record_can_be_repaired(layout: Layout) -> None:
    """Whichever record is lost, the project opens again, and what the others say of ends is there."""
    whole = layout.segment(1).read_bytes()
    lines = whole.splitlines(keepends=True)
    for place, line in enumerate(lines[:-1]):
        layout.segment(1).write_bytes(whole)
        scores = _scores(layout)
        _break(layout, place)
        repair(layout)
        event = decode_line(line)[1]
        if isinstance(event, TrialEnded):
            del scores[event.trial_id]

        assert _scores(layout) == scores, f"after the loss of record {place}"
        for left in layout.project_dir.glob("damaged-*"):
            (left / "000001.jsonl").unlink()
            left.rmdir()


def test_torn_apart_journal_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holes anywhere, over several segments, one of which is gone: no whole end of a trial is lost."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 1_500)
    _search(tmp_path)
    layout, rng = Layout(tmp_path, "p"), random.Random(3)
    for path in sorted(layout.journal_dir.glob("*.jsonl")):
        data = bytearray(path.read_bytes())
        start = rng.randrange(len(data))
        data[start : start + 200] = bytes(rng.randbytes(len(data[start : start + 200])))
        path.write_bytes(data)
    layout.segment(3).unlink()
    left = {
        event.trial_id: event.score
        for path in sorted(layout.journal_dir.glob("*.jsonl"))
        for event in _good_events(path.read_bytes())
        if isinstance(event, TrialEnded)
    }
    diagnosis, _ = repair(layout)

    assert diagnosis.scanned is not None
    assert len(diagnosis.scanned.lost) > 2
    assert left
    assert _scores(layout) == left
    assert len(_search(tmp_path)) == _TRIALS


def _good_events(data: bytes) -> list[Event]:
    found = []
    for line in data.splitlines(keepends=True):
        try:
            event = decode_line(line)[1]
        except Exception:  # noqa: BLE001 - a damaged line, of any kind
            continue
        if event is not None:
            found.append(event)
    return found


def test_repeated_and_contradicting_records_are_left_out(layout: Layout) -> None:
    """A line that is there twice is kept once; what goes on with an ended trial is dropped, and said."""
    lines = _lines(layout)
    place = _place(layout, TrialEnded, 0)
    scores = _scores(layout)
    layout.segment(1).write_bytes(b"".join([*lines[: place + 1], *lines[place:]]))
    diagnosis, _ = repair(layout)

    assert any(line.startswith(f"Repeated: record {place}, again") for line in diagnosis.lines())
    assert _scores(layout) == scores


def test_replaced_segment_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment of another search in the place of ours contradicts; what fits is kept, and it opens."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 1_500)
    for name in ("a", "b"):
        _search(tmp_path / name)
    ours, other = Layout(tmp_path / "a", "p"), Layout(tmp_path / "b", "p")
    other.segment(2).replace(ours.segment(2))
    diagnosis, _ = repair(ours)

    assert "comes from another copy" in diagnosis.refusal
    assert diagnose(ours).whole
    assert len(_search(tmp_path / "a")) == _TRIALS


@pytest.mark.parametrize("step", [1, 2, 3])
def test_stopped_repair_is_finished(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Stopped at any step, nothing is lost: the project says so, and the next repair does the rest."""
    scores = _scores(layout)
    _break(layout, 3)
    real, calls = Path.rename, 0

    def rename(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == step:
            raise OSError(5, "Input/output error")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(ProjectError, match="cannot be repaired: Input/output error"):
        repair(layout)
    monkeypatch.undo()
    stopped = diagnose(layout)
    _refused(layout.project_dir.parent)
    repair(layout)

    assert stopped.whole is False
    assert stopped.interrupted is (step == 3)
    assert _scores(layout) == scores
    assert list(layout.project_dir.glob(".mend*")) == []


def _refused(folder: Path) -> None:
    with pytest.raises((JournalCorrupt, ProjectError), match="aiotune doctor"):
        _search(folder)


def test_project_that_is_searched_is_not_repaired(layout: Layout) -> None:
    """It is refused, and can be looked at all the same."""
    _break(layout, 3)
    before = layout.segment(1).read_bytes()
    lock = ProjectLock(layout.lock_file)
    try:
        with pytest.raises(ProjectLocked, match="Another search holds the project"):
            repair(layout)
        seen = diagnose(layout).whole
    finally:
        lock.release()

    assert seen is False
    assert layout.segment(1).read_bytes() == before


def _nothing(layout: Layout) -> None:
    layout.project_dir.mkdir()


def _unreadable(layout: Layout) -> None:
    layout.segment(1).mkdir(parents=True)


@pytest.mark.parametrize(
    ("made", "expected"),
    [(_nothing, "holds no journal"), (_unreadable, "cannot be read: Is a directory")],
    ids=["no journal", "unreadable"],
)
def test_what_is_no_project_is_told(
    tmp_path: Path, made: Callable[[Layout], None], expected: str
) -> None:
    """A sentence says what is there instead, and nothing is made."""
    layout = Layout(tmp_path, "none")
    made(layout)
    before = _tree(tmp_path)

    with pytest.raises(ProjectError, match=expected):
        repair(layout)

    assert _tree(tmp_path) == before
