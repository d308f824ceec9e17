"""Every path of a project, in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aiotune._printable import shown
from aiotune.errors import ConfigurationError

__all__ = ("AttemptPaths", "Layout")

_SHORT = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class AttemptPaths:
    """Where one attempt's files are.

    Attributes:
        trial_dir: The trial's directory.
        attempt_dir: The attempt's own.
        output_log: stdout and stderr.
    """

    trial_dir: str
    attempt_dir: str
    output_log: str


@dataclass(frozen=True, slots=True, init=False)
class Layout:
    """The paths below ``directory/project_name``.

    Args:
        directory: Where projects are; default the working directory.
        project_name: Default ``"untitled_project"``.

    Raises:
        ConfigurationError: The name is not a plain name.
    """

    project_dir: Path

    def __init__(
        self, directory: str | Path | None = None, project_name: str | None = None
    ) -> None:
        name = "untitled_project" if project_name is None else project_name
        _check_name("project_name", name)
        base = Path() if directory is None else Path(directory)
        object.__setattr__(self, "project_dir", base.absolute() / name)

    @property
    def lock_file(self) -> Path:
        """Held by the one process that may write."""
        return self.project_dir / "LOCK"

    @property
    def journal_dir(self) -> Path:
        """Where the journal's segments are."""
        return self.project_dir / "journal"

    def segment(self, number: int) -> Path:
        """Return a segment of the journal, counted from 1."""
        return self.journal_dir / f"{number:06d}.jsonl"

    @property
    def events_log(self) -> Path:
        """The structured log; for people, not authoritative."""
        return self.project_dir / "events.log"

    @property
    def probe_log(self) -> Path:
        """Output of the first build of the model."""
        return self.project_dir / "probe.log"

    @property
    def workers_log(self) -> Path:
        """Output of the processes that workers are forked from."""
        return self.project_dir / "nursery.log"

    @property
    def oracle_state(self) -> Path:
        """Where an oracle's subclass keeps a state of its own."""
        return self.project_dir / "oracle.json"

    def tuner_state(self, tuner_id: str) -> Path:
        """Return where a tuner's subclass keeps a state of its own."""
        _check_name("tuner_id", tuner_id)
        return self.project_dir / f"{tuner_id}.json"

    def trial_dir(self, trial_id: str) -> Path:
        """Return a trial's directory."""
        _check_name("trial id", trial_id)
        return self.project_dir / f"trial_{trial_id}"

    def checkpoint(self, trial_id: str) -> Path:
        """Return the weights of a trial's best epoch."""
        return self.trial_dir(trial_id) / "checkpoint.weights.h5"

    def attempt_dir(self, trial_id: str, attempt: int) -> Path:
        """Return the directory of one attempt, counted from 1."""
        return self.trial_dir(trial_id) / f"attempt-{attempt:02d}"

    def output_log(self, trial_id: str, attempt: int) -> Path:
        """Return where an attempt's stdout and stderr go."""
        return self.attempt_dir(trial_id, attempt) / "output.log"

    def attempt_paths(self, trial_id: str, attempt: int) -> AttemptPaths:
        """Return all paths of an attempt as text, which is made faster than paths are."""
        _check_name("trial id", trial_id)
        trial_dir = f"{self.project_dir}/trial_{trial_id}"
        attempt_dir = f"{trial_dir}/attempt-{attempt:02d}"
        return AttemptPaths(trial_dir, attempt_dir, f"{attempt_dir}/output.log")

    def result_file(self, trial_id: str, attempt: int) -> Path:
        """Return where a worker writes its result down before it reports it."""
        return self.attempt_dir(trial_id, attempt) / "result.json"


def _length(name: object) -> str:
    return (
        f", having {len(name)} characters" if isinstance(name, str) and len(name) > _SHORT else ""
    )


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise ConfigurationError(
            f"The {what} {shown(name)} is not a plain name{_length(name)}: it may have 1 to 64 letters "
            "of English, digits, '.', '_' and '-', must begin with a letter or digit, and cannot hold '/' "
            "or '..'.",
            hint="Put folders into directory=... instead.",
        )
