"""What a search found."""

from __future__ import annotations

import csv
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiotune._printable import printable
from aiotune._summaries import ranked
from aiotune.status import TrialStatus

if TYPE_CHECKING:
    from aiotune.objective import Objective
    from aiotune.trial import Trial

__all__ = ("SearchResult",)

_ROWS = 10


@dataclass(frozen=True, slots=True, repr=False)
class SearchResult:
    """What a search found; returned by ``search()``.

    Attributes:
        trials: All trials, in order of creation.
        best_trial: The best completed one, or ``None``.
        objective: What was optimised.
        project_dir: Where the project is.
        elapsed: Seconds that this search took; 0 of a project that was only read.
    """

    trials: tuple[Trial, ...]
    best_trial: Trial | None
    objective: Objective
    project_dir: Path
    elapsed: float

    @classmethod
    def from_trials(
        cls, trials: Sequence[Trial], *, objective: Objective, project_dir: Path, elapsed: float
    ) -> SearchResult:
        """Gather a result."""
        best = next(iter(ranked(trials, maximize=objective.direction == "max")), None)
        if best is not None and best.status is not TrialStatus.COMPLETED:
            best = None
        return cls(tuple(trials), best, objective, project_dir, elapsed)

    @property
    def best_score(self) -> float | None:
        """The best trial's score."""
        return None if self.best_trial is None else self.best_trial.score

    @property
    def best_values(self) -> Mapping[str, Any] | None:
        """The best trial's hyperparameters."""
        return None if self.best_trial is None else self.best_trial.values

    @property
    def counts(self) -> dict[str, int]:
        """How many trials have each status."""
        return dict(Counter(str(trial.status) for trial in self.trials))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one flat row a trial, as for ``pandas.DataFrame``.

        Columns: ``trial``, ``status``, ``score``, ``best_step``, ``attempts``,
        ``stopped_early`` (why), ``error``, ``hp/<name>`` and ``metric/<name>``.
        """
        return [_row(trial) for trial in self.trials]

    def to_csv(self, path: str | Path) -> None:
        """Write the rows of :meth:`to_dicts` to a CSV file."""
        rows = self.to_dicts()
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def _table(self) -> list[tuple[str, str, str, str]]:
        best = ranked(self.trials, maximize=self.objective.direction == "max")[:_ROWS]
        return [
            (
                printable(trial.trial_id, 64),
                str(trial.status),
                "" if trial.score is None else f"{trial.score:.5g}",
                printable(", ".join(f"{k}={_brief(v)}" for k, v in trial.values.items()), 100),
            )
            for trial in best
        ]

    def _headline(self) -> str:
        counts = ", ".join(f"{n} {status.lower()}" for status, n in self.counts.items())
        noun = "trial" if len(self.trials) == 1 else "trials"
        took = f" in {self.elapsed:.1f} s" if self.elapsed else ""
        return f"{len(self.trials)} {noun} ({counts or 'none'}){took}"

    def __str__(self) -> str:
        lines = [self._headline()]
        lines += [
            f"  {i:>6}  {s:<9}  {score:>10}  {values}" for i, s, score, values in self._table()
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._table()
        )
        head = "<tr><th>trial</th><th>status</th><th>score</th><th>hyperparameters</th></tr>"
        caption = f"<caption>{html.escape(self._headline())}</caption>"
        return f"<table>{caption}{head}{rows}</table>"


def _row(trial: Trial) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": trial.trial_id,
        "status": str(trial.status),
        "score": trial.score,
        "best_step": trial.best_step,
        "attempts": trial.attempts,
        "stopped_early": trial.stop_reason or "",
        "error": "" if trial.failure is None else printable(trial.failure.summary()),
    }
    row.update({f"hp/{name}": value for name, value in trial.values.items()})
    row.update(
        {f"metric/{name}": value for name, value in trial.metrics.at(trial.best_step).items()}
    )
    return row


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
