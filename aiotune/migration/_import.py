"""Makes a project of aiotune from one of KerasTuner, which stays as it is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from aiotune.errors import ProjectError
from aiotune.migration._hyperband import Budgets
from aiotune.migration._objective import check_objective, find_objective, objective_notes
from aiotune.migration._read import OldProject, read_project
from aiotune.migration._search_name import ORACLES, find_oracle, oracle_notes
from aiotune.migration._translate import (
    Translated,
    boolean_notes,
    space_of,
    translate,
    values_of,
)
from aiotune.objective import Objective, create_objective
from aiotune.store import Layout, open_project
from aiotune.store._outlast import outlast
from aiotune.store._replay import ProjectState

__all__ = ("Imported", "import_keras_tuner", "is_import_of")

_MARK = "imported.json"
"""Says where an imported project comes from; beside the journal."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken over.

    Attributes:
        source: The project of KerasTuner.
        project_dir: The project that was made.
        oracle: Class name of the oracle that can go on with it.
        objective: What its trials were compared by.
        counts: How many trials have each status; those that will run again count as ``"QUEUED"``.
        settings: Arguments that the tuner needs to go on as before, ``max_epochs`` say.
        notes: What was left out, or needs a look, as sentences.
    """

    source: Path
    project_dir: Path
    oracle: str
    objective: Objective
    counts: dict[str, int]
    settings: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    old: OldProject
    new: Translated
    result: Imported


async def import_keras_tuner(
    source: str | Path,
    directory: str | Path | None = None,
    project_name: str | None = None,
    *,
    objective: Any = None,
    oracle: str | None = None,
    booleans: Collection[str] = (),
    skip_damaged: bool = False,
) -> Imported:
    """Make a project of aiotune from one of KerasTuner 1.x.

    Trials keep their ids, values, metrics, scores and files. Those that were
    running or waited for a retry will run again. The target appears whole or not at all.

    Args:
        source: ``<directory>/<project_name>`` of KerasTuner; read and never changed.
        directory: Where the new project goes; default the working directory.
        project_name: Its name; default that of the source.
        objective: What the search optimised, as for a tuner, since KerasTuner does not
            write it down; default the metric that the trials' scores are values of.
        oracle: ``"random"``, ``"grid"``, ``"bayesian"``, ``"hyperband"`` or the name of a
            class of your own; default found out from the files.
        booleans: Names of Choices whose 1 and 0 stand for ``True`` and ``False``.
        skip_damaged: Whether to leave out files that cannot be read.

    Raises:
        ProjectError: The source cannot be read, or the target is there already.
        ConfigurationError: The files do not tell the objective, or it is another one.
    """
    old = await asyncio.to_thread(_absolute, source)
    layout = Layout(directory, old.name if project_name is None else project_name)
    _refuse_existing(layout)
    plan = await asyncio.to_thread(
        partial(
            _plan,
            old,
            layout,
            None if objective is None else create_objective(objective),
            oracle,
            booleans,
            skip_damaged=skip_damaged,
        )
    )
    await _make(plan, layout)
    return plan.result


def is_import_of(layout: Layout, source: str | Path) -> bool:
    """Whether a project is there, and was made from this one of KerasTuner."""
    try:
        mark = json.loads((layout.project_dir / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("source") == str(_absolute(source))


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() would leave ".." in it


def _refuse_existing(layout: Layout) -> None:
    if os.path.lexists(layout.project_dir):
        raise ProjectError(
            f"{layout.project_dir} is there already, and an import never changes what is there.",
            hint="Choose another name or place with --project-name or --into (project_name, directory).",
        )


def _plan(
    source: Path,
    layout: Layout,
    objective: Objective | None,
    oracle: str | None,
    booleans: Collection[str],
    *,
    skip_damaged: bool,
) -> _Plan:
    old = read_project(source, skip_damaged=skip_damaged)
    space = space_of(old, booleans)
    found = find_objective(old) if objective is None else objective
    check_objective(old, found)
    # Who names the objective knows its direction.
    doubts = objective_notes(old, found) if objective is None else []
    name = ORACLES.get(oracle or "", oracle) or find_oracle(
        old, space.space, [values_of(trial, space) for trial in old.trials]
    )
    if oracle is None:
        doubts += oracle_notes(old, name)
    new = translate(old, space, found, name)
    # What contradicts itself is refused here, before anything is written.
    state = ProjectState.replay(new.facts, seed=0, objective=found)
    result = Imported(
        source=source,
        project_dir=layout.project_dir,
        oracle=name,
        objective=found,
        counts=dict(Counter(str(trial.status) for trial in state.trials.values())),
        settings=_settings(old),
        notes=(*old.notes, *new.notes, *doubts, *boolean_notes(space.space)),
    )
    return _Plan(old, new, result)


def _settings(old: OldProject) -> dict[str, Any]:
    budgets = Budgets.of(old)
    if budgets is not None:
        return {"max_epochs": budgets.max_epochs, "factor": budgets.factor}
    names = ("num_initial_points", "alpha", "beta")
    return {name: old.state[name] for name in names if old.state.get(name) is not None}


async def _make(plan: _Plan, layout: Layout) -> None:
    """Write the project beside its place, then move it there."""
    parent = layout.project_dir.parent
    await asyncio.to_thread(partial(parent.mkdir, parents=True, exist_ok=True))
    staging = parent / f".importing-{uuid.uuid4().hex[:8]}"
    staged = Layout(staging, layout.project_dir.name)
    try:
        store = await open_project(staged)
        try:
            await store.append(*plan.new.facts)
            await _copied(plan, staged)
        finally:
            with anyio.CancelScope(shield=True):
                await store.aclose()
        moving = asyncio.ensure_future(asyncio.to_thread(_move, staged, layout))
        cancelled = await outlast(
            moving, linger=None
        )  # or half of it might be removed, and the rest moved
        moving.result()
        if cancelled is not None:
            raise cancelled
    except OSError as error:
        raise ProjectError(
            f"The project could not be written to {layout.project_dir}: {error.strerror or error}. "
            "Nothing was left there.",
            hint="Choose a place that you can write to, with room for the checkpoints.",
        ) from error
    finally:
        with anyio.CancelScope(shield=True):
            await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)


async def _copied(plan: _Plan, staged: Layout) -> None:
    """Copy files in a thread; who is cancelled waits for the thread, which ends soon.

    It would go on otherwise, and write into what is being removed.
    """
    enough = threading.Event()
    copying = asyncio.ensure_future(asyncio.to_thread(_copy_files, plan, staged, enough))
    try:
        await asyncio.shield(copying)
    except asyncio.CancelledError:
        enough.set()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([copying])
        raise


def _copy_files(plan: _Plan, staged: Layout, enough: threading.Event) -> None:
    """Copy what trials have left, checkpoints above all, and the state of subclasses."""
    for trial in plan.old.trials:
        if enough.is_set():
            return
        new_id = plan.new.renamed.get(trial.trial_id)
        if new_id is not None:
            shutil.copytree(
                trial.directory,
                staged.trial_dir(new_id),
                symlinks=True,
                ignore=shutil.ignore_patterns("trial.json"),
            )
            if plan.old.state.get("brackets") is not None:
                _leave_state(staged.trial_dir(new_id))
    for path in sorted(plan.old.directory.glob("*.json")):
        if path.name != "oracle.json" or plan.old.state:
            shutil.copyfile(path, staged.project_dir / path.name)
    mark = {
        "source": str(plan.result.source),
        "oracle": plan.result.oracle,
        "notes": list(plan.result.notes),
    }
    (staged.project_dir / _MARK).write_text(json.dumps(mark, indent=1), encoding="utf-8")


def _leave_state(trial_dir: Path) -> None:
    """Let a promotion go on with a trial's weights and optimizer: KerasTuner keeps both in one file."""
    weights = trial_dir / "checkpoint.weights.h5"
    if weights.exists():
        # A second name costs no disk. Files of weights are replaced, never written over.
        os.link(weights, trial_dir / "state-0.weights.h5")


def _move(staged: Layout, layout: Layout) -> None:
    _refuse_existing(layout)
    staged.project_dir.rename(layout.project_dir)
