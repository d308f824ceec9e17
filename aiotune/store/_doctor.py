"""Looks at a project's files, says what is damaged, and repairs what can be repaired."""

from __future__ import annotations

import shutil
import time
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from aiotune import __version__
from aiotune._disk import sync_folder
from aiotune._layout import Layout
from aiotune.errors import JournalCorrupt, ProjectError
from aiotune.events import Event, ProjectCreated
from aiotune.store import _journal
from aiotune.store._codec import encode_line
from aiotune.store._file import FORMAT
from aiotune.store._lock import ProjectLock
from aiotune.store._recovery import recover, segment_paths
from aiotune.store._salvage import Record, Scanned, Story, consistent, scan
from aiotune.store._segment import (
    SegmentBegan,
    SegmentFile,
    begin,
    segment_name,
)

__all__ = ("Diagnosis", "diagnose", "repair")

_SHOWN = 20
"""How many places of each kind a diagnosis names."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is the matter with a project.

    Attributes:
        layout: The project.
        refusal: Why a search refuses to open it; empty if it does not.
        unfinished: Bytes of a last batch that was not finished; the next search cuts them off.
        records: How many records are whole.
        scanned: All that was found; ``None`` if nothing is damaged.
        story: What a repair keeps; ``None`` likewise.
        interrupted: Whether an earlier repair was stopped half way, and has to be finished.
    """

    layout: Layout
    refusal: str = ""
    unfinished: int = 0
    records: int = 0
    scanned: Scanned | None = None
    story: Story | None = None
    interrupted: bool = False

    @property
    def whole(self) -> bool:
        """Whether a search opens the project as it is."""
        return not self.refusal and not self.interrupted

    def lines(self) -> list[str]:
        """Return the diagnosis as sentences."""
        if self.interrupted:
            return [
                "A repair was stopped half way. Run it again with --repair: it will be finished."
            ]
        if self.scanned is None or self.story is None:
            told = [f"{self.records} records, and every one of them is whole."]
            if self.unfinished:
                told.append(
                    f"The last batch is not finished ({self.unfinished} bytes), as after a crash. Nobody was "
                    "told of it; the next search cuts it off and goes on."
                )
            return told
        return [self.refusal, *_told_damage(self.scanned), *_told_story(self.story)]


def _told_damage(scanned: Scanned) -> list[str]:
    lines = [
        f"Damaged: {one.path.name}, bytes {one.start} to {one.end - 1}."
        for one in scanned.damage[:_SHOWN]
    ]
    lines += [
        f"Lost: record {first}." if first == last else f"Lost: records {first} to {last}."
        for first, last in scanned.lost[:_SHOWN]
    ]
    lines += [
        f"Repeated: record {one.seq}, again in {one.path.name} at byte {one.offset}."
        for one in scanned.repeated[:_SHOWN]
    ]
    return lines


def _told_story(story: Story) -> list[str]:
    lines = [
        f"Contradicted: record {record.seq}, in {record.path.name} at byte {record.offset}: {why}"
        for record, why in story.dropped[:_SHOWN]
    ]
    kept = sum(record is not None for _, record in story.kept)
    lines.append(f"A repair keeps {kept} records, with {story.ended} ended trials.")
    if story.made:
        lines.append(
            f"It creates again {len(story.made)} trials whose creation is lost ({', '.join(story.made[:_SHOWN])}): "
            "with the values that their end tells, or else to be run again."
        )
    return lines


def diagnose(layout: Layout) -> Diagnosis:
    """Look at a project, and change nothing.

    Args:
        layout: Where it is.

    Raises:
        ProjectError: It is no project, or cannot be read.
        JournalCorrupt: A newer version wrote it.
    """
    try:
        if not layout.journal_dir.is_dir():
            if _mended(layout) is not None:
                return Diagnosis(layout, interrupted=True)
            raise ProjectError(
                f"{layout.project_dir} holds no journal, so it is no project of aiotune.",
                hint="Name the directory of a project: <directory>/<project_name>.",
            )
        return _diagnosed(layout)
    except OSError as error:
        raise ProjectError(
            f"The journal in {layout.journal_dir} cannot be read: {error.strerror or error}.",
            hint="Give this user permission to read it.",
        ) from error


def _diagnosed(layout: Layout) -> Diagnosis:
    refusal = ""
    try:
        found = recover(layout.journal_dir, repair=False)
    except JournalCorrupt as error:
        refusal = error.message
    scanned = scan(segment_paths(layout.journal_dir))
    story = consistent(scanned)
    if not refusal and story.dropped:
        record, why = story.dropped[0]
        refusal = f"Record {record.seq} contradicts those before it: {why}"
    if refusal:
        return Diagnosis(
            layout, refusal, records=len(scanned.records), scanned=scanned, story=story
        )
    return Diagnosis(layout, unfinished=found.cut, records=found.next_seq)


def repair(layout: Layout) -> tuple[Diagnosis, Path | None]:
    """Write a journal of all that is whole and fits together; the damaged one is kept beside it.

    The new journal is made and read back before the old one is moved, and a
    repair that is stopped at any point can be run again.

    Returns:
        What was the matter, and where the damaged files are now; ``None`` if nothing was.

    Raises:
        ProjectLocked: A search holds the project.
        ProjectError: It is no project, or cannot be written.
    """
    diagnose(layout)
    try:
        lock = ProjectLock(layout.lock_file)
        try:
            return _repaired(layout)
        finally:
            lock.release()
    except OSError as error:
        raise ProjectError(
            f"The project {layout.project_dir} cannot be repaired: {error.strerror or error}.",
            hint="Give this user space and permission to write there, and run the repair again.",
        ) from error


def _repaired(layout: Layout) -> tuple[Diagnosis, Path | None]:
    diagnosis = diagnose(layout)  # again: it may have changed until it was ours
    if diagnosis.interrupted:
        return diagnosis, _finish(layout)
    if diagnosis.story is None:
        return diagnosis, None
    for left in layout.project_dir.glob(".mend*"):
        shutil.rmtree(left)
    making = layout.project_dir / f".mending-{uuid.uuid4().hex[:8]}"
    _write(making, diagnosis.story)
    making.rename(making.with_name(making.name.replace("mending", "mended")))
    return diagnosis, _finish(layout)


def _mended(layout: Layout) -> Path | None:
    return next(iter(layout.project_dir.glob(".mended-*")), None)


def _finish(layout: Layout) -> Path:
    """Put the mended journal into the place of the damaged one; may be repeated after a stop."""
    mended = _mended(layout)
    assert mended is not None
    aside = layout.project_dir / f"damaged-{mended.name.removeprefix('.mended-')}"
    if layout.journal_dir.exists():
        sync_folder(layout.project_dir)
        layout.journal_dir.rename(aside)
    mended.rename(layout.journal_dir)
    sync_folder(layout.project_dir)
    return aside


def _write(folder: Path, story: Story) -> None:
    """Write a story as a journal, and read it back.

    Raises:
        ProjectError: It reads otherwise; a bug, since it was written just now.
    """
    folder.mkdir(mode=0o700)
    kept = list(story.kept)
    if not kept or not isinstance(kept[0][0], ProjectCreated):
        kept.insert(0, (_created_again(), None))
    _Writer(folder).write(kept)
    found = recover(folder, repair=False)
    if list(map(repr, found.events)) != [repr(event) for event, _ in kept]:
        raise ProjectError(
            f"The repaired journal in {folder} does not read as it was written. Nothing was changed.",
            hint="This is a bug of aiotune; the damaged journal is where it was.",
        )


def _created_again() -> Event:
    return ProjectCreated(
        format=FORMAT, project_id=uuid.uuid4().hex, created=time.time(), version=__version__
    )


class _Stamp(msgspec.Struct):
    """When a record was written."""

    t: int = 0
    m: int = 0


_stamp = msgspec.json.Decoder(_Stamp)


class _Writer:
    """Writes records anew, each as a batch of its own, so that later damage to any of them is seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: SegmentBegan | None = None
        self._number, self._seq = 0, 0

    def write(self, kept: list[tuple[Event, Record | None]]) -> None:
        """Write all of them."""
        data = bytearray()
        for event, record in kept:
            stamp = _Stamp() if record is None else _stamp.decode(record.line[9:-1])
            if not data and self._before is not None:
                data += begin(self._before, seq=self._seq, at=stamp.t, since=stamp.m)
                self._seq += 1
            data += encode_line(event, seq=self._seq, batch=len(data), at=stamp.t, since=stamp.m)
            self._seq += 1
            if len(data) >= _journal.SEGMENT_BYTES:
                self._seal(data)
                data.clear()
        if data:
            self._seal(data)

    def _seal(self, data: bytearray) -> None:
        self._number += 1
        name = segment_name(self._number)
        file = SegmentFile(self._folder / name)
        try:
            file.append(bytes(data))
            file.sync()
        finally:
            file.close()
        self._before = SegmentBegan(name, len(data), zlib.crc32(data))
