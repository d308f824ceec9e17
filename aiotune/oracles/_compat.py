"""What programs written for KerasTuner read of an oracle, and keep with it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aiotune import events, logs
from aiotune._disk import is_full, read_private, write_private
from aiotune._offload import Offloader, Overdue
from aiotune._threads import start_in_thread
from aiotune.errors import ConfigurationError, ProjectError
from aiotune.oracles._book import Book
from aiotune.oracles._core import RetryPolicy
from aiotune.oracles._space import SearchedSpace
from aiotune.store import Layout, MemoryStore, read_events
from aiotune.store._replay import ProjectState

__all__ = ("FamiliarOracle",)

_FILE = 60.0
_LONGEST = 24 << 10
"""Longest text of a subclass's own state in a record; escaped, it is at most twice as long."""


class FamiliarOracle(SearchedSpace):
    """The attributes and the state of KerasTuner's oracles, told from the journal.

    Attributes:
        multi_worker: ``False``: one process decides, whatever a strategy does within a trial.
        should_report: ``True``, as of every oracle of one process.
    """

    multi_worker = False
    should_report = True

    directory: Path | None
    project_name: str | None
    offload: Offloader
    log: Any
    _policy: RetryPolicy
    _seed: int
    _verbose: int | str = "auto"

    # ── limits ─────────────────────────────────────────────────────────────

    @property
    def max_retries_per_trial(self) -> int:
        """How often a failed trial is run again."""
        return self._policy.max_retries

    @property
    def max_consecutive_failed_trials(self) -> int | None:
        """How many FAILED trials in a row end the search; ``None``: no limit."""
        return self._policy.max_consecutive

    @property
    def verbose(self) -> int | str:
        """What a search shows that is not told otherwise: 0, 1 or 2; ``"auto"`` reads as 1."""
        return 1 if self._verbose == "auto" else self._verbose

    @verbose.setter
    def verbose(self, value: int | str) -> None:
        self._verbose = value

    # ── trials ─────────────────────────────────────────────────────────────

    @property
    def start_order(self) -> list[str]:
        """Ids of all trials, in order of creation."""
        return list(self.trials)

    @property
    def end_order(self) -> list[str]:
        """Ids of the trials that have ended for good, in the order of their ends."""
        return list(self._book.state.end_order)

    @property
    def tuner_ids(self) -> set[str]:
        """Who has a trial that has not ended."""
        return set(self._book.held)

    # ── state ──────────────────────────────────────────────────────────────

    def get_state(self) -> dict[str, Any]:
        """Return the oracle as data, under KerasTuner's names.

        A subclass may add what it wants kept with the project, as JSON. That is recorded in
        one piece with each trial's creation and end, so a search that was killed goes
        on as it would have; what is longer than 24 KiB is only written to
        ``oracle.json``, and may be one trial ahead or behind then. What the base class returns is
        told from the journal, which alone says what the trials are.
        """
        state = self._book.state
        return {
            "ongoing_trials": {who: trial.trial_id for who, trial in self._book.held.items()},
            "hyperparameters": self.hyperparameters.get_config(),
            "start_order": self.start_order,
            "end_order": self.end_order,
            "run_times": {name: trial.attempts for name, trial in self.trials.items()},
            "retry_queue": list(state.queue),
            "seed": self.seed,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what a subclass added in :meth:`get_state`, when a project is continued.

        The base class takes nothing: the journal has told it all.
        """

    async def save(self) -> None:
        """Wait until all that has happened is durable; a search does so by itself.

        Raises:
            ConfigurationError: :meth:`get_state` returned what JSON cannot hold.
        """
        await self.record(*self._state_for(""))
        await self._keep_state()

    async def reload(self) -> None:
        """Read the project again, as another process may have left it, without holding it.

        While this oracle holds the project, it is what the project is, and nothing changes.

        Raises:
            ConfigurationError: It was never opened in a directory.
            ProjectError: The project cannot be read.
        """
        if self.directory is None:
            raise ConfigurationError(
                "This oracle's trials are in memory, so there is nothing to read again. Open it with "
                "open(directory, project_name), or read a project with load(layout)."
            )
        if self._book.holds_project:
            await self.record()
            return
        await start_in_thread(self.load, Layout(self.directory, self.project_name))
        await self._take_state_back()

    def load(self, layout: Layout) -> None:
        """Read an existing project without holding it, to look at its trials."""
        if history := read_events(layout):
            self._book = Book(self._replayed(history), MemoryStore())

    def _replayed(self, history: Sequence[events.Event]) -> ProjectState:
        return ProjectState.replay(history, seed=self._seed, objective=self.objective)

    def _opened(self, history: Sequence[events.Event]) -> ProjectState:
        """Fold a project that is to be gone on with, and read what a pruner will ask for."""
        state = self._replayed(history)
        self._prepare_to_judge(state)
        return state

    def _adds_state(self) -> bool:
        """Whether a subclass has any state of its own."""
        return type(self).get_state is not FamiliarOracle.get_state

    def _state_for(self, trial_id: str) -> list[events.Event]:
        """Return what belongs before a record about a trial: a subclass's own state, if it has changed."""
        if self.directory is None or not self._adds_state():
            return []
        told, text = FamiliarOracle.get_state(self), None
        # What is wrong with it _keep_state() says, when the trial itself is recorded.
        with contextlib.suppress(Exception):
            state = self.get_state()
            text = json.dumps({k: v for k, v in state.items() if k not in told or told[k] != v})
        if text is not None and len(text) > _LONGEST:
            text = None
        if text == self._book.state.oracle_state:
            return []
        return [events.OracleStateKept(trial_id=trial_id, state=text)]

    async def _keep_state(self) -> None:
        """Write the state down, if a subclass adds to it and there is a project."""
        if self.directory is None or not self._adds_state():
            return
        path = Layout(self.directory, self.project_name).oracle_state
        try:
            text = json.dumps(self.get_state())
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{type(self).__name__}.get_state() returned what JSON cannot hold: {error}. Return "
                "dicts, lists, strings, numbers and None."
            ) from error
        try:
            write = partial(write_private, path, text.encode())
            await self.offload.run("disk", write, deadline=_FILE)
        except (OSError, Overdue) as error:
            if isinstance(error, OSError) and not is_full(error):
                raise
            # All that trials depend on is in the journal, which waits for space.
            self.log.warning(logs.STATE_NOT_SAVED, path=str(path), error_message=str(error))

    async def _take_state_back(self) -> None:
        """Give a subclass what it has added, if it was written down."""
        overrides = type(self).set_state is not FamiliarOracle.set_state
        if self.directory is None or not overrides:
            return
        if self._book.state.oracle_state is not None:
            own = json.loads(self._book.state.oracle_state)
            self.set_state({**FamiliarOracle.get_state(self), **own})
            return
        path = Layout(self.directory, self.project_name).oracle_state
        state = await self.offload.run("disk", _read, path, deadline=_FILE, what=f"Reading {path}")
        if state is not None:
            self.set_state(state)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        state = json.loads(read_private(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"The oracle's own state in {path} cannot be read: {error}.",
            hint="Remove the file; trials do not depend on it.",
        ) from error
    if not isinstance(state, dict):
        raise ProjectError(
            f"The oracle's own state in {path} is a {type(state).__name__} in place of an object.",
            hint="Remove the file; trials do not depend on it.",
        )
    return state
