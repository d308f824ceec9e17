"""Which trials' weights stay on disk: what can still be asked for, and no more.

* The weights of the best epoch (``checkpoint.weights.h5``) of the ``keep_best`` best
  completed trials. Others lose theirs when they end or are overtaken.
* The state with the optimizer (``state-*.weights.h5``) of a trial that the searcher may
  yet continue, or that one which has not ended does continue.

* The state of an interrupted training (``resume.json``, ``resume-*.weights.h5``), until its trial ends.

Nothing else is ever removed: not logs, not results, not files of the user's own.
"""

from __future__ import annotations

import bisect
import copy
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from aiotune import logs
from aiotune._disk import folder_within
from aiotune._offload import Overdue
from aiotune.status import TrialStatus

if TYPE_CHECKING:
    from aiotune._layout import Layout
    from aiotune._offload import Offloader
    from aiotune.oracles import Oracle
    from aiotune.searchers import History
    from aiotune.trial import Trial

__all__ = ("Retention",)

# Whole names, as the worker writes them: a file that is only like them is the user's own.
_WEIGHTS = re.compile(r"checkpoint\.weights\.h5")
_STATES = re.compile(r"state-\d+\.weights\.h5")
_RESUMES = re.compile(r"resume\.json|resume-\d+-\d+\.weights\.h5")

_UNLINKING = 60.0  # seconds

_Doomed = tuple[Path, re.Pattern[str]]
"""A directory, and what the names of superfluous files in it are."""


@runtime_checkable
class _Continues(Protocol):
    """A searcher some of whose trials go on with the training of others."""

    def continuable(self, history: History) -> Collection[int]: ...


class Retention:
    """Removes weights that nobody can ask for any more.

    Args:
        oracle: Whose trials they are.
        layout: Where they are.
        keep_best: How many trials keep their best weights; ``None``: all.
        offload: Removes files, in the lane ``disk``.
    """

    def __init__(
        self, oracle: Oracle, layout: Layout, keep_best: int | None, offload: Offloader
    ) -> None:
        self._oracle, self._layout, self._offload = oracle, layout, offload
        self._keep = keep_best
        self._best: list[tuple[float, int, str]] = []  # (badness, index, id), the best first
        self._states: dict[int, str] = {}
        # A copy: the oracle's own may be deciding in another thread at this moment.
        searcher: Any = oracle.searcher
        self._searcher = copy.deepcopy(searcher) if isinstance(searcher, _Continues) else None

    async def begin(self) -> None:
        """Take up a project: what an earlier search had no time to remove goes now."""
        doomed: list[_Doomed] = []
        for trial in self._oracle.trials.values():
            if trial.status.is_final:
                doomed += self._own(trial)
        # Once: it asks the searcher, who goes through all trials.
        await self._remove([*doomed, *self._of_others()])

    async def ended(self, trial: Trial) -> None:
        """Remove what the end of a trial makes superfluous: its own weights, or another's."""
        if trial.status.is_final:
            await self._remove([*self._own(trial), *self._of_others()])

    def _own(self, trial: Trial) -> list[_Doomed]:
        """Return what the end of a trial makes superfluous of its own, and the weights that it has beaten."""
        if "epochs" in trial.budget:
            self._states[trial.index] = trial.trial_id
        weights = [(i, _WEIGHTS) for i in self._losers(trial)]
        # What an interrupted training would have gone on from.
        resumes = [(trial.trial_id, _RESUMES)]
        return [(self._layout.trial_dir(i), pattern) for i, pattern in [*weights, *resumes]]

    def _of_others(self) -> list[_Doomed]:
        """Return the states that nobody goes on with any more."""
        return [(self._layout.trial_dir(i), _STATES) for i in self._useless_states()]

    def _losers(self, trial: Trial) -> Iterable[str]:
        """Return the trials that are not among the best now, if they were or might have been."""
        if trial.status is not TrialStatus.COMPLETED or trial.score is None:
            return [trial.trial_id]
        if self._keep is None:
            return []
        sign = 1 if self._oracle.objective.direction == "min" else -1
        bisect.insort(self._best, (sign * trial.score, trial.index, trial.trial_id))
        return [self._best.pop()[-1]] if len(self._best) > self._keep else []

    def _useless_states(self) -> Iterable[str]:
        if not self._states:
            return []
        history = self._oracle.history
        parents = {history.tried[index].budget.get("parent") for index in history.unfinished}
        wanted = set() if self._searcher is None else set(self._searcher.continuable(history))
        useless = {
            index: trial_id
            for index, trial_id in self._states.items()
            if index not in wanted and index not in parents
        }
        for index in useless:
            del self._states[index]
        return useless.values()

    async def _remove(self, doomed: list[_Doomed]) -> None:
        if not doomed:
            return
        failed: Exception | None
        try:
            failed = await self._offload.run(
                "disk", _unlink, doomed, deadline=_UNLINKING, what="Removing weights"
            )
        except Overdue as error:
            failed = error
        if failed is not None:
            # Too many files are no reason to end a search; the next one tries again.
            self._oracle.log.warning(logs.WEIGHTS_NOT_REMOVED, error_message=str(failed))


def _unlink(doomed: list[_Doomed]) -> OSError | None:
    """Remove what can be removed; return why something could not be."""
    failed = None
    for directory, names in doomed:
        try:
            # A trial's folder that is a link leads to files that are not ours to remove.
            with folder_within(directory.parent, directory) as folder:
                for name in filter(names.fullmatch, os.listdir(folder)):  # noqa: PTH208 - a descriptor
                    os.unlink(name, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failed = error
    return failed
