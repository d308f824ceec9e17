"""A look at a whole project: what is wrong, what to do about it, and what a repair can mend."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiotune import __version__
from aiotune._disk import read_private, sync_folder
from aiotune._layout import Layout
from aiotune.checkup._files import held_by, look_at_files, open_to_others
from aiotune.checkup._finding import Finding, Weight
from aiotune.checkup._trials import look_at_trials, replayed
from aiotune.errors import AiotuneError, ProjectError
from aiotune.events import Event
from aiotune.executors._sweep import sweep
from aiotune.store import read_events
from aiotune.store._doctor import Diagnosis, diagnose, repair
from aiotune.store._lock import ProjectLock
from aiotune.store._recovery import segment_paths
from aiotune.store._snapshot import is_current, snapshot_path

__all__ = ("Examination", "Finding", "Weight", "examine", "mend")


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found.

    Attributes:
        layout: The project.
        diagnosis: What is the matter with its journal.
        findings: What was found beside it, the journal's own summary included.
    """

    layout: Layout
    diagnosis: Diagnosis
    findings: tuple[Finding, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.diagnosis.whole and not any(finding.is_fault for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "project": str(self.layout.project_dir),
            "version": __version__,
            "whole": self.whole,
            "journal": self.diagnosis.lines(),
            "findings": [finding.to_dict() for finding in self.findings],
        }


def examine(layout: Layout) -> Examination:
    """Look at a project, and change nothing; works while a search holds it.

    Raises:
        ProjectError: It is no project, or cannot be read.
        JournalCorrupt: A newer version wrote it.
    """
    return _examined(layout, held=held_by(layout) is not None)


def _examined(layout: Layout, *, held: bool) -> Examination:
    """Look at a project; what runs and what is unfinished is no trouble while a search holds it."""
    diagnosis = diagnose(layout)
    try:
        return Examination(layout, diagnosis, tuple(_found(layout, diagnosis, held=held)))
    except OSError as error:
        raise ProjectError(
            f"{layout.project_dir} cannot be looked at: {error}.",
            hint="Look again if a search changed it in this moment; else give this user the right to read it.",
        ) from error


def _found(layout: Layout, diagnosis: Diagnosis, *, held: bool) -> Iterator[Finding]:
    for line in diagnosis.lines():
        if diagnosis.whole:
            yield Finding("journal", Weight.NOTE, line, "", layout.journal_dir)
        else:
            yield Finding("journal", Weight.FAULT, line, "", layout.journal_dir, "journal")
    yield from look_at_files(layout)
    if not diagnosis.whole:
        return  # what the journal says of trials is known when it is mended
    events = read_events(layout)
    yield from _snapshots(layout)
    yield from _recorded(layout, events, held=held)


def _recorded(layout: Layout, events: list[Event], *, held: bool) -> Iterator[Finding]:
    try:
        state = replayed(events)
        yield from look_at_trials(layout, events, state, held=held)
    except AiotuneError as error:
        yield Finding(
            "journal", Weight.FAULT, error.message, error.hint or "", layout.journal_dir, "journal"
        )


def _snapshots(layout: Layout) -> Iterator[Finding]:
    for segment in segment_paths(layout.journal_dir)[:-1]:
        path = snapshot_path(segment)
        if path.exists() and not is_current(segment, read_private(segment)):
            what = f"{path.name} does not match its segment, so it is not used."
            remedy = "The next search writes it anew."
            yield Finding("snapshots", Weight.NOTE, what, remedy, path, "aside")


# ── mending ────────────────────────────────────────────────────────────────


def mend(layout: Layout) -> tuple[Examination, Path | None]:
    """Mend what can be mended without a loss; nothing is removed, only put aside.

    Returns:
        What was found before, and the folder that now holds what was in the way or damaged;
        ``None`` if nothing had to be moved.

    Raises:
        ProjectLocked: A search holds the project.
        ProjectError: It is no project, or cannot be written.
    """
    before = examine(layout)
    _clear_lock(before)
    _, aside = repair(layout)
    try:
        lock = ProjectLock(layout.lock_file)
        try:
            aside = _mend_all(layout, aside)
        finally:
            lock.release()
    except OSError as error:
        raise ProjectError(
            f"The project {layout.project_dir} cannot be mended: {error}.",
            hint="Give this user space and the right to write there, and run the repair again.",
        ) from error
    return before, aside


def _clear_lock(before: Examination) -> None:
    """A link in the place of the lock keeps everybody out, the repair included."""
    for finding in before.findings:
        if finding.about == "lock" and finding.mended_by == "aside" and finding.path is not None:
            finding.path.rename(finding.path.with_name(f"damaged-{uuid.uuid4().hex[:8]}"))


def _mend_all(layout: Layout, aside: Path | None) -> Path | None:
    # Looked at again, now that the lock is ours and the journal can be read.
    for finding in _examined(layout, held=False).findings:
        match finding.mended_by:
            case "aside" if finding.path is not None:
                aside = aside or layout.project_dir / f"damaged-{uuid.uuid4().hex[:8]}"
                _put_aside(layout.project_dir, finding.path, aside)
            case "private":
                for path in open_to_others(layout.project_dir):
                    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~(stat.S_IRWXG | stat.S_IRWXO))
            case "end":
                state = replayed(read_events(layout))
                sweep(event.attempt_id for event in state.open_attempts.values())
            case _:
                pass  # nothing that a repair could do
    return aside


def _put_aside(project: Path, path: Path, aside: Path) -> None:
    place = aside / path.relative_to(project)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.rename(place)
    sync_folder(path.parent)
    sync_folder(place.parent)
