"""What happens around each trial in the calling process, beside the search itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from aiotune import logs
from aiotune._callbacks import Callbacks
from aiotune._disk import is_full
from aiotune._offload import Offloader, Overdue
from aiotune._progress import Progress
from aiotune._retention import Retention
from aiotune._tuner_state import keeps_state, save_state
from aiotune.errors import ProjectError

if TYPE_CHECKING:
    from aiotune.base_tuner import BaseTuner
    from aiotune.trial import Trial

__all__ = ("TunerHooks",)

_SAVING = 60.0


class TunerHooks:
    """Shows what ended, and calls the hooks that a tuner overrides."""

    def __init__(
        self,
        tuner: BaseTuner,
        progress: Progress,
        offload: Offloader,
        retention: Retention | None,
        callbacks: Callbacks,
    ) -> None:
        self._progress, self._offload, self._retention = progress, offload, retention
        self._callbacks = callbacks
        self._save = partial(save_state, tuner) if keeps_state(tuner) else None
        self._state_file = tuner._layout.tuner_state(tuner.tuner_id)  # noqa: SLF001
        self._began = tuner.on_trial_begin if tuner.overrides("on_trial_begin") else None
        self._ended = tuner.on_trial_end if tuner.overrides("on_trial_end") else None

    async def trial_began(self, trial: Trial) -> None:
        """Call the hook before an attempt."""
        if self._began is not None:
            await self._callbacks.call(self._began, trial)

    async def trial_ended(self, trial: Trial, seconds: float) -> None:
        """Show the end, call the hook, remove weights and keep the state."""
        self._progress.ended(trial, seconds)
        if self._ended is not None:
            await self._callbacks.call(self._ended, trial)
        if self._retention is not None:
            await self._retention.ended(trial)
        if self._save is not None:
            await self._keep_state(self._save)

    async def _keep_state(self, save: Callable[[], None]) -> None:
        try:
            await self._offload.run("disk", save, deadline=_SAVING)
        except (ProjectError, Overdue) as error:
            if isinstance(error, ProjectError) and not is_full(error.__cause__):
                raise
            # All that trials depend on is in the journal, which waits for space.
            self._progress.log.warning(
                logs.STATE_NOT_SAVED, path=str(self._state_file), error_message=str(error)
            )
