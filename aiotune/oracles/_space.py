"""What an oracle knows: its trials, its space, its limits."""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from aiotune import events
from aiotune._arguments import check_whole
from aiotune._printable import shown
from aiotune.errors import ConfigurationError, UnknownName, WrongType
from aiotune.hyperparameters import HyperParameters
from aiotune.memory import Calibration
from aiotune.objective import DefaultObjective, Objective
from aiotune.oracles import _core
from aiotune.oracles._book import Book
from aiotune.oracles._pruning import Curves
from aiotune.pruners import Pruner
from aiotune.searchers import History
from aiotune.status import TrialStatus
from aiotune.store import MemoryStore
from aiotune.store._replay import ProjectState
from aiotune.trial import Trial

__all__ = ("SearchedSpace",)

_MOST_BYTES = 800_000
"""Of a space that is written down: it is sent to a worker with each trial, in a frame of a mebibyte."""


class SearchedSpace:
    """A search space and the trials in it.

    Args:
        objective: What trials are compared by.
        max_trials: How many trials may be created; ``None``: no limit.
        given: A search space given in advance.
        allow_new_entries: Whether trials may ask for hyperparameters outside it.
        tune_new_entries: Whether such hyperparameters are tuned.
        seed: Seeds proposals and training.

    Raises:
        ConfigurationError: There is no space, and none may be found.
        WrongType: The space given is none; that is a ``TypeError``.
    """

    def __init__(
        self,
        objective: Objective,
        max_trials: int | None,
        given: HyperParameters | None,
        *,
        allow_new_entries: bool,
        tune_new_entries: bool,
        seed: int,
    ) -> None:
        if given is None and not (allow_new_entries and tune_new_entries):
            raise ConfigurationError(
                "With allow_new_entries=False or tune_new_entries=False you must specify the search "
                "space: pass hyperparameters=..."
            )
        if given is not None and not isinstance(given, HyperParameters):
            raise WrongType(
                f"hyperparameters must be a search space or None, but is {shown(given)} of type "
                f"{type(given).__name__}. Make one: hp = HyperParameters(); hp.Int('units', 32, 512)."
            )
        self.objective = objective
        self.max_trials = max_trials
        self.allow_new_entries = allow_new_entries
        self.tune_new_entries = tune_new_entries
        self._given = given
        self.pruner: Pruner | None = None
        self._curves: Curves | None = None
        self._inherit(Book(ProjectState(seed=seed, objective=objective), MemoryStore()))

    def _inherit(self, book: Book) -> None:
        """Go on with the trials and the space of a book."""
        state = book.state
        inherited = state.space.copy() if state.trials else HyperParameters()
        given = self.given_space
        _core.check_space(inherited, given, state)
        self._book, self._inherited = book, inherited
        event = _core.grew(state, given)
        if event is not None:
            self.record(event)

    def set_default_objective(self, objective: Objective) -> None:
        """Take an objective if none was given; for a tuner whose trials measure what it knows.

        Raises:
            ConfigurationError: There are trials already.
        """
        if not isinstance(self.objective, DefaultObjective):
            return
        if self.trials:
            raise ConfigurationError(
                f"The objective cannot become {objective!r}: this oracle has {len(self.trials)} "
                "trials that were compared without one."
            )
        self.objective = objective
        self._inherit(Book(ProjectState(seed=self.seed, objective=objective), MemoryStore()))

    def record(self, *facts: events.Event) -> Awaitable[None]:
        """Let facts happen: the single door to the journal.

        Returns:
            An awaitable of their durability, and of all before; it may be left alone.
        """
        return self._book.record(*facts)

    # ── trials ─────────────────────────────────────────────────────────────

    @property
    def trials(self) -> dict[str, Trial]:
        """All trials by id, in order of creation."""
        return self._book.state.trials

    @property
    def history(self) -> History:
        """The trials as a searcher sees them; live."""
        return self._book.state

    @property
    def seed(self) -> int:
        """The seed of proposals and training."""
        return self._book.state.seed

    @property
    def calibration(self) -> Calibration:
        """What the peaks of this project's trials teach about predictions of memory."""
        return self._book.state.calibration

    def learn(self, calibration: Calibration) -> None:
        """Take in what other projects taught about predictions of memory.

        Of a space that this project has seen itself, its own journal tells as
        much: what it gave to others would come back and count twice.
        """
        state = self._book.state
        state.calibration = calibration.without(state.calibration).merged(state.calibration)

    @property
    def interrupted_attempts(self) -> tuple[str, ...]:
        """Attempts that an earlier search of this project began and did not end."""
        return self._book.interrupted

    @property
    def ongoing_trials(self) -> dict[str, Trial]:
        """The trial that each ``tuner_id`` has and has not ended."""
        return dict(self._book.held)

    @property
    def best_trial(self) -> Trial | None:
        """The best completed trial so far."""
        return self._book.state.best

    def get_trial(self, trial_id: str) -> Trial:
        """Return a trial.

        Raises:
            UnknownName: There is none with this id; it is a ``KeyError``.
        """
        if not isinstance(trial_id, str) or trial_id not in self.trials:
            known = shown(list(self.trials), 200) if self.trials else "none yet"
            raise UnknownName(
                f"There is no trial {shown(trial_id)}; there are {len(self.trials)}: {known}. Take an id "
                "from trial.trial_id."
            )
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Return the best completed trials, best first; failed ones are never among them.

        Raises:
            ConfigurationError: ``num_trials`` is no whole number >= 0.
        """
        check_whole("num_trials", num_trials, 0)
        done = [
            t
            for t in self.trials.values()
            if t.status is TrialStatus.COMPLETED and t.score is not None
        ]
        done.sort(key=lambda t: t.score or 0.0, reverse=self.objective.direction == "max")
        return done[:num_trials]

    def remaining_trials(self) -> int | None:
        """Return how many trials may still be created; ``None`` without a limit.

        One that was rejected, since it cannot run here, does not count.
        """
        if self.max_trials is None:
            return None
        return max(0, self.max_trials - len(self.trials) + self._book.state.rejected)

    def judge(self, trial: Trial, step: int) -> str | None:
        """Return why a trial that has just reported a step should end early; ``None`` to go on.

        A trial is told once: afterwards, and without a :attr:`pruner`, the answer is ``None``.
        """
        if self.pruner is None or trial.stop_reason is not None:
            return None
        state = self._book.state
        if self._curves is None or not self._curves.of(state):
            self._curves = Curves(state, self.objective)
        return self._curves.judge(self.pruner, trial, step)

    def _prepare_to_judge(self, state: ProjectState) -> None:
        """Read the curves of a project that was just folded, off the loop: there may be many."""
        if self.pruner is not None:
            curves = Curves(state, self.objective)
            curves.prepare(self.pruner)
            self._curves = curves

    # ── the space ──────────────────────────────────────────────────────────

    @property
    def hyperparameters(self) -> HyperParameters:
        """The search space, with default values."""
        return self._book.state.space

    @property
    def given_space(self) -> HyperParameters:
        """The search space given in advance; empty if none was."""
        return self._given.copy() if self._given is not None else HyperParameters()

    def get_space(self) -> HyperParameters:
        """Return a copy of the search space."""
        return self._book.state.space.copy()

    async def declare_space(self, hyperparameters: HyperParameters) -> None:
        """Take the space that the program's model asks for, before the first trial.

        Raises:
            SpaceChanged: The project was searched with other ranges.
            RuntimeError: As for :meth:`update_space`.
        """
        await self.update_space(hyperparameters)

    async def update_space(self, hyperparameters: HyperParameters) -> None:
        """Add hyperparameters that the space does not have yet.

        One that this program registers again with another range keeps its
        first range, as a bound that depends on another value must.

        Raises:
            SpaceChanged: The project that is continued has one with another range.
            ConfigurationError: Written down, the space would be too large to send to a worker.
            RuntimeError: ``allow_new_entries`` is ``False`` and there are new ones.
        """
        state = self._book.state
        if hyperparameters.space == state.space.space:
            return  # as for nearly every trial; most entries are the very same objects
        _core.check_space(self._inherited, hyperparameters, state)
        event = _core.grew(state, hyperparameters)
        if event is None:
            return
        if not self.allow_new_entries:
            names = [entry["config"]["name"] for entry in event.entries]
            raise RuntimeError(
                f"`allow_new_entries` is `False`, but found new entries {names}. Add them to "
                "hyperparameters=..., or allow new entries."
            )
        _check_size(state.space, event)
        if self.tune_new_entries:
            self.record(event)
            self._book.wake()  # more to search may mean something to propose


def _check_size(space: HyperParameters, event: events.SpaceGrew) -> None:
    size = len(msgspec.json.encode([*space.get_config()["space"], *event.entries]))
    if size <= _MOST_BYTES:
        return
    largest = max(event.entries, key=lambda entry: len(msgspec.json.encode(entry)))
    raise ConfigurationError(
        f"The search space takes {size:,} bytes when it is written down, and {_MOST_BYTES:,} are allowed. The "
        f"largest of the new hyperparameters is the {largest['class_name']} "
        f"{shown(largest['config']['name'])}. Use an Int that counts into a list, fewer hyperparameters, or "
        "shorter names and values."
    )
