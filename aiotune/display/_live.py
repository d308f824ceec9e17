"""A live table of what runs, with lines above it; on a terminal."""

from __future__ import annotations

import itertools
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiotune._printable import printable
from aiotune.display._snapshot import RunningTrial, Snapshot, short_clock

__all__ = ("LiveDisplay", "render")

_OTHER_ROWS = 4
"""Rows of the screen that are not running trials: the head, the foot, and two for lines above."""
_WIDE = 110
"""Columns from which on a device's name and all metrics are shown."""
_VALUES = 20
"""Hyperparameters looked at; no screen shows more."""


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
        # Drawn only when we say so: the loop's ticker is the clock, not a thread of rich's. What the
        # program prints meanwhile comes as lines, too: through rich it would wait for the terminal.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        """Draw a moment."""
        if self._live is not None:
            width, height = self._console.size
            self._live.update(render(snapshot, width, height), refresh=True)

    def line(self, text: str) -> None:
        """Write a line, or several, above the table; what a program prints may have colors."""
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def stop(self) -> None:
        """Remove the table and give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def render(snapshot: Snapshot, width: int, height: int) -> Group:
    """Return the drawing of a moment: never higher than a terminal of some height.

    Args:
        snapshot: The moment.
        width: Columns of the terminal; a wide one shows more of each trial.
        height: Its rows.
    """
    wide = width >= _WIDE
    rows = max(1, height - _OTHER_ROWS)
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="dim")
    for name in ("trial", "on"):
        table.add_column(name, no_wrap=True, max_width=28 if wide else 10)
    for name in ("time", "epoch", printable(snapshot.objective, 16)):
        # Text, not str: a name may look like rich's markup.
        table.add_column(Text(name), no_wrap=True, justify="right")
    if wide:
        table.add_column("metrics", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("hyperparameters", no_wrap=True, overflow="ellipsis", ratio=3)
    for trial in snapshot.running[:rows]:
        table.add_row(*map(Text, _cells(trial, snapshot.objective, wide=wide)))
    return Group(table, _foot(snapshot, hidden=len(snapshot.running) - rows, width=width))


def _cells(trial: RunningTrial, objective: str, *, wide: bool) -> list[str]:
    again = "" if trial.attempt == 1 else f" ({trial.attempt})"
    device = printable(trial.device, 60)
    score = trial.metrics.get(objective)
    cells = [
        f"{printable(trial.trial_id, 64)}{again}",
        device if wide else " ".join(device.split()[:2]),  # "GPU 0" without its model's name
        short_clock(trial.elapsed),
        "" if trial.step is None else str(trial.step + 1),
        "" if score is None else f"{score:.4g}",
    ]
    others = ((name, value) for name, value in trial.metrics.items() if name != objective)
    if wide:
        cells.append(", ".join(f"{printable(name, 40)} {value:.4g}" for name, value in others))
    values = itertools.islice(trial.values.items(), _VALUES)
    return [*cells, ", ".join(f"{printable(k, 40)}={_brief(v)}" for k, v in values)]


def _brief(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else printable(value, 40)


def _foot(snapshot: Snapshot, *, hidden: int, width: int) -> Table:
    ended = f"{snapshot.ended}" + (f"/{snapshot.budget}" if snapshot.budget else "") + " trials"
    parts = [ended, short_clock(snapshot.elapsed)]
    if snapshot.failed:
        parts.append(f"{snapshot.failed} failed")
    if hidden > 0:
        parts.append(f"{hidden} more run")
    if snapshot.best_score is not None:
        best = printable(snapshot.best_trial, 64)
        parts.append(f"best {snapshot.best_score:.5g} (trial {best})")
    foot = Table.grid(padding=(0, 1, 0, 0), expand=True)
    bar = max(0, min(30, width - sum(len(part) + 2 for part in parts) - 1))
    if snapshot.budget and bar > 3:  # noqa: PLR2004 - a shorter bar shows nothing
        foot.add_column(width=bar)
        foot.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        done = ProgressBar(total=snapshot.budget, completed=snapshot.ended, width=bar)
        foot.add_row(done, Text("  ".join(parts)))
    else:
        foot.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        foot.add_row(Text("  ".join(parts)))
    return foot
