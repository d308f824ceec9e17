"""A live table of what runs, with lines above it; on a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiotune._printable import printable
from aiotune.display._snapshot import RunningTrial, Snapshot, clock

__all__ = ("LiveDisplay", "render")

_OTHER_ROWS = 6
"""Lines of the screen that are not rows of running trials."""


class LiveDisplay:
    """Redraws a table in place.

    Args:
        stream: A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=False)
        self._live: Live | None = None

    def start(self) -> None:
        """Take the foot of the terminal."""
        # Drawn only when we say so: the loop's ticker is the clock, not a thread.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        """Draw a moment."""
        if self._live is not None:
            self._live.update(render(snapshot, self._console.height), refresh=True)

    def line(self, text: str) -> None:
        """Write a line above the table."""
        self._console.print(Text(text), soft_wrap=True)

    def stop(self) -> None:
        """Remove the table and give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def render(snapshot: Snapshot, height: int) -> Group:
    """Return the drawing of a moment, for a terminal of some height."""
    rows = max(1, height - _OTHER_ROWS)
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True)
    table.add_column("trial", no_wrap=True)
    table.add_column("on", no_wrap=True, max_width=18)
    table.add_column("time", no_wrap=True, justify="right")
    table.add_column("epoch", no_wrap=True, justify="right")
    table.add_column("last", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("hyperparameters", no_wrap=True, overflow="ellipsis", ratio=4)
    for trial in snapshot.running[:rows]:
        table.add_row(*_cells(trial, snapshot.objective))
    hidden = len(snapshot.running) - rows
    if hidden > 0:
        table.add_row(f"and {hidden} more")
    return Group(table, _foot(snapshot))


def _cells(trial: RunningTrial, objective: str) -> tuple[str, ...]:
    again = "" if trial.attempt == 1 else f" ({trial.attempt})"
    return (
        f"{trial.trial_id}{again}",
        trial.device,
        f"{trial.elapsed:.0f} s",
        "" if trial.step is None else str(trial.step + 1),
        _metrics(trial, objective),
        ", ".join(f"{printable(k, 40)}={_brief(v)}" for k, v in trial.values.items()),
    )


def _metrics(trial: RunningTrial, objective: str) -> str:
    names = sorted(trial.metrics, key=lambda name: name != objective)
    return ", ".join(f"{printable(name, 40)} {trial.metrics[name]:.4g}" for name in names[:2])


def _brief(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else printable(value, 40)


def _foot(snapshot: Snapshot) -> Table:
    foot = Table.grid(padding=(0, 2, 0, 0))
    done = f"{snapshot.ended}" + (f"/{snapshot.budget}" if snapshot.budget else "") + " trials"
    parts: list[Text | ProgressBar] = [Text(done)]
    if snapshot.budget:
        parts.append(ProgressBar(total=snapshot.budget, completed=snapshot.ended, width=20))
    if snapshot.failed:
        parts.append(Text(f"{snapshot.failed} failed"))
    if snapshot.best_score is not None:
        best = f"best {snapshot.objective} {snapshot.best_score:.5g} (trial {snapshot.best_trial})"
        parts.append(Text(printable(best, 120)))
    parts.append(Text(clock(snapshot.elapsed)))
    foot.add_row(*parts)
    return foot
