"""Between a search and its audience: the log, the display, and a line for each ended trial."""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiotune import logs
from aiotune._log_file import LogFile
from aiotune._offload import in_thread
from aiotune._printable import printable
from aiotune._writer import LAST_WAIT
from aiotune.display import RunningTrial, Snapshot, clock, make_display
from aiotune.status import TrialStatus

if TYPE_CHECKING:
    from aiotune._clock import Clock
    from aiotune.oracles import Oracle
    from aiotune.scheduler import Running
    from aiotune.trial import Trial

__all__ = ("Progress",)

_EVENTS = {
    TrialStatus.COMPLETED: logs.TRIAL_COMPLETED,
    TrialStatus.FAILED: logs.TRIAL_FAILED,
    TrialStatus.REJECTED: logs.TRIAL_REJECTED,
    TrialStatus.CANCELLED: logs.TRIAL_CANCELLED,
}


class Progress:
    """Shows one search.

    Args:
        oracle: Whose trials.
        verbose: See :func:`~aiotune.display.make_display`.
        clock: Tells how long things take.
    """

    def __init__(self, oracle: Oracle, *, verbose: int | str, clock: Clock) -> None:
        self._oracle, self._clock = oracle, clock
        self._display = make_display(verbose, sys.stdout, lost=self._lost)
        self._quiet = verbose in (0, False)
        self._started = clock.monotonic()
        self._running: Mapping[str, Running] = {}
        self._ended = self._failed = self._rejected = 0
        self._end_by: float | None = None
        # What matters to people is shown, too.
        self.log = logs.open_log(None, show=None if self._quiet else self._display.line)

    @asynccontextmanager
    async def logging(self, path: Path) -> AsyncIterator[logs.SearchLog]:
        """Write the log to a file while the context lasts."""
        self.log.attach(await in_thread(LogFile, path))
        try:
            yield self.log
        finally:
            await self.log.aclose(self._last_wait())

    @contextmanager
    def showing(self, running: Mapping[str, Running]) -> Iterator[None]:
        """Show the search while the context lasts."""
        self._running = running
        trials = self._oracle.trials.values()
        self._ended = sum(t.status.is_final for t in trials)
        self._failed = sum(t.status.is_final and t.score is None for t in trials)
        self._rejected = sum(t.status is TrialStatus.REJECTED for t in trials)
        self._display.start()
        try:
            yield
        finally:
            self._display.stop()

    async def aclose(self) -> None:
        """Wait until everything is shown, but not for long."""
        await self._display.aclose(self._last_wait())

    def _last_wait(self) -> float:
        """Return how long the end may still wait for a file or a terminal, both together."""
        now = self._clock.monotonic()
        if self._end_by is None:
            self._end_by = now + LAST_WAIT
        return max(0.0, self._end_by - now)

    def tick(self) -> None:
        """Draw the present moment and write the log."""
        self._display.update(self._snapshot())
        self.log.flush()

    def ended(self, trial: Trial, seconds: float) -> None:
        """Tell that an attempt has ended and been recorded; a retry is told by the oracle."""
        event = _EVENTS.get(trial.status)
        if event is None:
            return
        if trial.status.is_final:
            self._ended += 1
            self._failed += trial.score is None
            self._rejected += trial.status is TrialStatus.REJECTED
        level = self.log.info if trial.status is TrialStatus.COMPLETED else self.log.warning
        if trial.status is TrialStatus.CANCELLED:
            level = self.log.info
        level(
            event,
            trial=trial.trial_id,
            score=trial.score,
            best_step=trial.best_step,
            seconds=round(seconds, 3),
            hp=dict(trial.values),
            attempts=trial.attempts,
            device=trial.devices[0] if trial.devices else "cpu",
            error=None if trial.failure is None else trial.failure.summary(),
        )
        if trial.status is TrialStatus.COMPLETED and not self._quiet:
            self._display.line(self._completed(trial, seconds))

    def _lost(self, error: Exception) -> None:
        self.log.warning(logs.SINK_FAILED, sink="The terminal", error=error)

    def _completed(self, trial: Trial, seconds: float) -> str:
        name = self._oracle.objective.name
        how = "complete" if trial.stop_reason is None else "stopped early"
        text = f"Trial {trial.trial_id} {how} [{clock(seconds)}] {name}: {trial.score:.5g}"
        best = self._oracle.best_trial
        if best is not None and best.score is not None:
            text += f", best {best.score:.5g} (trial {best.trial_id})"
        return printable(text + _diverged(trial), 300)

    def _snapshot(self) -> Snapshot:
        now = self._clock.monotonic()
        best, most = self._oracle.best_trial, self._oracle.max_trials
        return Snapshot(
            running=tuple(
                RunningTrial(
                    r.trial.trial_id,
                    r.attempt,
                    r.place.label,
                    now - r.started,
                    r.step,
                    r.metrics,
                    r.trial.values,
                )
                for r in self._running.values()
            ),
            ended=self._ended,
            failed=self._failed,
            # Another trial takes the place of a rejected one, so they are more than max_trials.
            budget=None if most is None else most + self._rejected,
            objective=self._oracle.objective.name,
            best_score=None if best is None else best.score,
            best_trial=None if best is None else best.trial_id,
            elapsed=now - self._started,
        )


def _diverged(trial: Trial) -> str:
    """Say which metrics of a trial were not finite, and from which epoch on; "" if all were.

    The objective may not notice: a model whose weights are NaN still has an accuracy.
    """
    first: dict[str, int] = {}
    for _, step, metrics in trial.history:
        for name, value in metrics.items():
            if not math.isfinite(value):
                first.setdefault(name, step)
    if not first:
        return ""
    epoch = min(first.values()) + 1
    return f"; not finite from epoch {epoch}: {', '.join(first)}{logs.given(trial.values)}"
