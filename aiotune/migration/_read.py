"""What KerasTuner has written, read with suspicion and without changing anything.

KerasTuner writes its files in place, so a crash may leave one cut off in the
middle. It writes NaN and infinity bare, which is not JSON but what Python reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from aiotune._printable import printable
from aiotune._values import Value
from aiotune.errors import ProjectError
from aiotune.migration._files import OracleFile, TrialFile

__all__ = ("Observed", "OldProject", "OldTrial", "read_project")

Observed = Mapping[str, Mapping[int, tuple[float, ...]]]
"""Values by metric and step, one for each execution."""

_SKIP = "To go on without it, pass --skip-damaged (skip_damaged=True)."
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class OldTrial:
    """One ``trial.json``.

    Attributes:
        trial_id: Its id.
        status: As KerasTuner wrote it: ``"COMPLETED"``, ``"FAILED"``, ``"INVALID"``, ``"RUNNING"``, ...
        values: Values by name, with Hyperband's ``tuner/...`` among them.
        entries: The hyperparameters that it knew, in the form of ``get_config()["space"]``.
        observed: Its metrics.
        directions: ``"min"`` or ``"max"`` for each metric, as KerasTuner took it.
        score: The objective; ``None`` or NaN if it has none.
        best_step: Where the score was reached; 0 if it is not known.
        message: The traceback of what went wrong, if something did.
        directory: Where its files are.
        started: Unix time; 0 if it is not known.
        ended: Unix time of the last change.
    """

    trial_id: str
    status: str
    values: Mapping[str, Value]
    entries: tuple[Mapping[str, Any], ...]
    observed: Observed
    score: float | None
    best_step: int
    message: str | None
    directory: Path
    started: float = 0.0
    ended: float = 0.0
    directions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OldProject:
    """One ``oracle.json`` with its trials.

    Attributes:
        directory: Where it is.
        trials: In the order in which they were started.
        end_order: Ids in the order in which they ended.
        entries: The search space.
        run_times: How often each trial was run.
        state: All of ``oracle.json``; empty if it was damaged and skipped.
        notes: What was left out, as sentences.
    """

    directory: Path
    trials: tuple[OldTrial, ...]
    end_order: tuple[str, ...]
    entries: tuple[Mapping[str, Any], ...]
    run_times: Mapping[str, int]
    state: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


class _Damaged(Exception):
    """A file that is not what KerasTuner writes."""


def read_project(directory: Path, *, skip_damaged: bool = False) -> OldProject:
    """Read a project of KerasTuner.

    Args:
        directory: Holds ``oracle.json`` and a ``trial_<id>`` directory for each trial.
        skip_damaged: Whether to go on without files that cannot be read.

    Raises:
        ProjectError: It is no such project, or a file of it is damaged.
    """
    _check_is_project(directory)
    reader = _Reader(skip=skip_damaged)
    state = reader.read(directory / "oracle.json", _oracle_state) or {}
    starts = state.get("display", {}).get("trial_start", {})
    trials = [
        trial
        for trial_id in _ids(directory, state)
        if (trial := reader.read(_file_of(directory, trial_id), _trial_reader(trial_id, starts)))
    ]
    if not state:
        reader.notes.append(
            "Without oracle.json the order of trials is taken from their ids, the search space from the "
            "trials, and the seed is 0."
        )
    return OldProject(
        directory=directory,
        trials=tuple(trials),
        end_order=tuple(dict.fromkeys(state.get("end_order", ()))),
        entries=_space(state, trials),
        run_times=state.get("run_times", {}),
        state=state,
        notes=tuple(reader.notes),
    )


def _check_is_project(directory: Path) -> None:
    if not directory.is_dir():
        raise ProjectError(
            f"There is no directory {printable(directory, 300)}, so there is no project to read.",
            hint="Name the directory of a project of KerasTuner: <directory>/<project_name>.",
        )
    if (directory / "journal").is_dir():  # beside it an oracle of aiotune may keep a state, too
        raise ProjectError(
            f"{directory} is a project of aiotune already: search in it, or see `aiotune results`."
        )
    if (directory / "oracle.json").is_file() or any(directory.glob("trial_*/trial.json")):
        return
    inside = sorted(path.parent.name for path in directory.glob("*/oracle.json"))
    hint = (
        f"There are projects within it: {', '.join(inside[:5])}. Name one of them."
        if inside
        else "Name the directory that KerasTuner made: <directory>/<project_name>."
    )
    raise ProjectError(
        f"{directory} holds no oracle.json, so it is no project of KerasTuner.", hint=hint
    )


class _Reader:
    """Reads files; notes the damaged ones, or refuses them."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.notes: list[str] = []

    def read(self, path: Path, parse: Callable[[Path, dict[str, Any]], _T]) -> _T | None:
        """Return what a file holds; ``None`` if it is damaged and may be skipped.

        Raises:
            ProjectError: It is damaged and may not.
        """
        try:
            return parse(path, _json_object(path))
        except _Damaged as damage:
            said = f"{path} {damage}."
            if not self._skip:
                raise ProjectError(said, hint=_SKIP, path=str(path)) from None
            self.notes.append(f"{said} It was left out.")
            return None


def _json_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _Damaged("is missing, although the project speaks of it") from None
    except OSError as error:
        raise _Damaged(f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _Damaged("is damaged: it is not text") from None
    except json.JSONDecodeError as error:
        raise _Damaged(
            f"is damaged: it is cut off or was edited ({error.msg} in line {error.lineno}, column "
            f"{error.colno})"
        ) from None
    if not isinstance(data, dict):
        raise _Damaged(f"is damaged: it holds a {type(data).__name__} in place of an object")
    return data


def _oracle_state(_: Path, data: dict[str, Any]) -> dict[str, Any]:
    _convert(data, OracleFile)
    return data


def _convert(data: dict[str, Any], schema: type[_T]) -> _T:
    try:
        return msgspec.convert(data, schema)
    except msgspec.ValidationError as error:
        raise _Damaged(f"is damaged: it is not what KerasTuner writes ({error})") from None


def _file_of(directory: Path, trial_id: str) -> Path:
    return directory / f"trial_{trial_id}" / "trial.json"


def _ids(directory: Path, state: Mapping[str, Any]) -> list[str]:
    """Return trial ids in order of their start, those that only have a directory last."""
    found = {
        path.parent.name.removeprefix("trial_") for path in directory.glob("trial_*/trial.json")
    }
    started = list(dict.fromkeys(state.get("start_order", ())))
    return [*started, *sorted(found.difference(started), key=_natural)]


def _natural(trial_id: str) -> tuple[int, str]:
    return (int(trial_id) if trial_id.isdecimal() else 0, trial_id)


def _trial_reader(
    trial_id: str, starts: Mapping[str, Any]
) -> Callable[[Path, dict[str, Any]], OldTrial]:
    def parse(path: Path, data: dict[str, Any]) -> OldTrial:
        file = _convert(data, TrialFile)
        return OldTrial(
            trial_id=trial_id,
            status=file.status,
            values=file.hyperparameters.values,
            entries=tuple(file.hyperparameters.space),
            observed={
                name: {one.step: tuple(one.value) for one in history.observations}
                for name, history in file.metrics.metrics.items()
            },
            score=file.score,
            best_step=file.best_step or 0,
            message=file.message,
            directory=path.parent,
            started=_unix_time(starts.get(trial_id)),
            ended=path.stat().st_mtime,
            directions={n: h.direction for n, h in file.metrics.metrics.items() if h.direction},
        )

    return parse


def _unix_time(text: Any) -> float:
    """Return the time that an ISO date without a zone meant where it was written: here, we must hope."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else 0.0
    except ValueError:
        return 0.0


def _space(state: Mapping[str, Any], trials: Iterable[OldTrial]) -> tuple[Mapping[str, Any], ...]:
    if state:
        return tuple(state["hyperparameters"]["space"])
    return tuple(entry for trial in trials for entry in trial.entries)
