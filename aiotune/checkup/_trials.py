"""What can be said of the trials that a journal records: their results, weights and processes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from aiotune._disk import read_private, sha256_of
from aiotune._layout import Layout
from aiotune.checkup._finding import Finding, Weight
from aiotune.events import Event, ProjectOpened, SearchStarted
from aiotune.executors._sweep import left_processes
from aiotune.objective import Objective, objective_from_dicts
from aiotune.status import TrialStatus
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial
from aiotune.wire import parsed_result, unsealed
from aiotune.worker._left import is_left

__all__ = ("left_running", "look_at_trials", "replayed")

_FOLDER = re.compile(r"trial_([A-Za-z0-9][A-Za-z0-9._-]{0,63})")


def replayed(events: Sequence[Event]) -> ProjectState:
    """Fold a journal without knowing the program that searched it."""
    searches = [event for event in events if isinstance(event, SearchStarted)]
    objective = (
        objective_from_dicts(searches[-1].objective) if searches else Objective("score", "min")
    )
    return ProjectState.replay(events, seed=0, objective=objective)


def look_at_trials(
    layout: Layout, events: Sequence[Event], state: ProjectState, *, held: bool
) -> Iterator[Finding]:
    """Look at what the journal records, and at what there is on the disk of it.

    Args:
        layout: The project.
        events: The journal.
        state: What it folds into.
        held: Whether a search holds the project, so that what runs is no leftover.
    """
    yield from _versions(layout, events)
    yield from _counts(state)
    if not held:
        yield from _processes(layout, state)
    for trial in state.trials.values():
        yield from _weights(layout, trial)
        if not trial.status.is_final and not held:
            yield from _unfinished(layout, trial)
    yield from _folders(layout, state)


def left_running(state: ProjectState) -> list[tuple[str, int]]:
    """Return attempts that the journal shows open, each with a process that carries its mark."""
    ids = [event.attempt_id for event in state.open_attempts.values()]
    return [(attempt, pid) for attempt in ids for pid in left_processes([attempt])]


def _versions(layout: Layout, events: Sequence[Event]) -> Iterator[Finding]:
    opened = [event for event in events if isinstance(event, ProjectOpened)]
    if opened:
        often = "once" if len(opened) == 1 else f"{len(opened)} times, last"
        what = f"It was opened {often} by aiotune {opened[-1].version}."
        yield Finding("version", Weight.NOTE, what, "", layout.project_dir)


def _counts(state: ProjectState) -> Iterator[Finding]:
    ended = len(state.trials) - len(state.unfinished)
    what = f"{len(state.trials)} trials, {ended} of them ended."
    lost = [trial.trial_id for trial in state.trials.values() if trial.lost]
    if lost:
        what += f" The program died during {len(lost)} of them ({', '.join(lost[:5])})."
    yield Finding("trials", Weight.NOTE, what)


def _processes(layout: Layout, state: ProjectState) -> Iterator[Finding]:
    for attempt, pid in left_running(state):
        what = (
            f"Process {pid} of attempt {attempt} still runs, although no search holds the project."
        )
        remedy = "It may hold a GPU. The next search ends it."
        yield Finding("processes", Weight.FAULT, what, remedy, layout.project_dir, "end")


def _weights(layout: Layout, trial: Trial) -> Iterator[Finding]:
    folder = layout.trial_dir(trial.trial_id)
    for name, expected in trial.files.items():
        if not is_left(name):
            what = f"The journal says that trial {trial.trial_id} has left a file named {name!r}."
            remedy = "No version of aiotune writes such a record: trust nothing of this project."
            yield Finding("checkpoints", Weight.FAULT, what, remedy, layout.journal_dir)
            continue
        path = folder / name
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            continue  # overtaken by better ones, and removed
        except OSError as error:
            found = f"{type(error).__name__}: {error}"
        if found != expected:
            what = f"{folder.name}/{name} is not what its trial has left: its checksum differs."
            remedy = "It is not loaded. Restore it from a copy, or train the configuration again."
            yield Finding("checkpoints", Weight.FAULT, what, remedy, path, "aside")


def _unfinished(layout: Layout, trial: Trial) -> Iterator[Finding]:
    folder, attempts = layout.trial_dir(trial.trial_id), trial.attempts
    spooled = layout.result_file(trial.trial_id, attempts)
    if attempts and trial.status is TrialStatus.RUNNING and spooled.exists():
        try:
            whole = parsed_result(read_private(spooled)) is not None
        except OSError:
            whole = False
        where = f"{folder.name}/{spooled.parent.name}/{spooled.name}"
        if whole:
            what = f"Trial {trial.trial_id} has finished: its result is in {where}, not in the journal yet."
            yield Finding("results", Weight.NOTE, what, "The next search takes it over.", spooled)
        else:
            what = f"The result in {where} is damaged."
            yield Finding("results", Weight.FAULT, what, "The trial runs again.", spooled, "aside")
    yield from _resumption(layout, trial)


class _Progress(msgspec.Struct):
    """What a saved training says of its state."""

    state: str = ""
    sha256: str = ""


def _resumption(layout: Layout, trial: Trial) -> Iterator[Finding]:
    folder = layout.trial_dir(trial.trial_id)
    path = folder / "resume.json"
    if not path.exists():
        return
    try:
        found = msgspec.json.decode(unsealed(read_private(path)), type=_Progress)
        whole = not found.state or sha256_of(folder / found.state) == found.sha256
    except (OSError, ValueError):
        whole = False
    if whole:
        what = f"Trial {trial.trial_id} was interrupted, and goes on where it was saved."
        yield Finding("checkpoints", Weight.NOTE, what, "", path)
    else:
        what = f"What trial {trial.trial_id} was to go on from is damaged."
        yield Finding("checkpoints", Weight.FAULT, what, "It begins anew.", path, "aside")


def _folders(layout: Layout, state: ProjectState) -> Iterator[Finding]:
    for trial in state.trials.values():
        folder = layout.trial_dir(trial.trial_id)
        if trial.files and not folder.is_dir():
            what = f"The folder {folder.name} is missing, with the weights and output of its trial."
            yield Finding("trials", Weight.FAULT, what, "Restore it from a copy.", folder)
    for path in sorted(layout.project_dir.glob("trial_*")):
        named = _FOLDER.fullmatch(path.name)
        if named is None or named[1] not in state.trials:
            what = f"The journal knows no trial of the folder {path.name}."
            yield Finding("trials", Weight.NOTE, what, "It may be another project's.", path)
