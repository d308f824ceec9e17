"""The command line: what can be done with projects without writing a program.

Exit codes: 0, it was done; 1, it could not be done, and standard error says
why in a sentence; 2, the command was misspelt; 3, `doctor` found damage that it
was not told to repair; 130, it was interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiotune
from aiotune.errors import AiotuneError, ConfigurationError, ProjectError, UnknownDirection

if TYPE_CHECKING:
    from aiotune.checkup import Examination
    from aiotune.migration import Imported
    from aiotune.objective import Objective
    from aiotune.result import SearchResult
    from aiotune.store import Layout
    from aiotune.trial import Trial

__all__ = ("main",)

_SHOWN = 10
_DAMAGED = 3
_WIDE = 100
"""How many characters of a trial's values a line of the table shows."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Its arguments; default those of the process.

    Returns:
        The exit code.
    """
    given = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that its encoding lacks
    try:
        code: int | None = given.run(given)
    except AiotuneError as error:
        print(f"aiotune: {error}", file=sys.stderr)  # noqa: T201 - the command line's way to speak
        return 1
    except BrokenPipeError:
        return 0  # whoever read the output has enough of it, as `head` has
    except KeyboardInterrupt:
        return 130
    return code or 0


def _say(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 - the command line's way to speak
    except OSError as error:
        # What is left in the buffer would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise AiotuneError(f"The output cannot be written: {error.strerror}.") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aiotune", description="Look at projects of aiotune, and make them from others."
    )
    parser.add_argument("--version", action="version", version=f"aiotune {aiotune.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_results(commands)
    _add_import(commands)
    _add_doctor(commands)
    return parser


# ── results ────────────────────────────────────────────────────────────────


def _add_results(commands: Any) -> None:
    parser = commands.add_parser(
        "results",
        help="show the trials of a project, best first",
        description="Show the trials of a project, best first, and the unfinished ones last. Reads only; "
        "a search may be running.",
    )
    parser.add_argument("directory", metavar="DIR", help="<directory>/<project_name>")
    parser.add_argument(
        "-n", "--num-trials", type=_count, default=_SHOWN, metavar="N",
        help="how many trials a table or a summary shows (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--format",
        choices=("table", "summary", "json", "csv"),
        default="table",
        help="json and csv hold every trial (default %(default)s)",
    )
    parser.set_defaults(run=_results)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, but is {text!r}")
    return number


def _results(given: argparse.Namespace) -> None:
    result = _read(Path(given.directory))
    match given.format:
        case "summary":
            from aiotune._summaries import results_summary

            shown = results_summary(
                result.project_dir, result.objective, result.trials, given.num_trials
            )
        case "json":
            shown = json.dumps([_finite(row) for row in result.to_dicts()], indent=1)
        case "csv":
            shown = _csv(result.to_dicts())
        case _:
            shown = _table(result, given.num_trials)
    _say(shown)


def _read(directory: Path) -> SearchResult:
    """Return what a project holds, without holding the project."""
    from aiotune import events
    from aiotune.objective import objective_from_dicts
    from aiotune.result import SearchResult
    from aiotune.store import read_events
    from aiotune.store._replay import ProjectState

    layout = _layout(directory)
    history = read_events(layout)
    if not history:
        raise _no_project(directory)
    searches = [event for event in history if isinstance(event, events.SearchStarted)]
    if not searches:
        raise ProjectError(f"No search has begun in {directory} yet, so there is nothing to show.")
    objective: Objective = objective_from_dicts(searches[-1].objective)
    state = ProjectState.replay(history, seed=0, objective=objective)
    return SearchResult.from_trials(
        list(state.trials.values()),
        objective=objective,
        project_dir=layout.project_dir,
        elapsed=0.0,
    )


def _layout(directory: Path) -> Layout:
    from aiotune.store import Layout

    absolute = Path(os.path.abspath(directory))  # noqa: PTH100 - Path.absolute() would leave ".." in it
    return Layout(absolute.parent, absolute.name)


def _no_project(directory: Path) -> ProjectError:
    if not directory.is_dir():
        return ProjectError(
            f"There is no directory {directory}.",
            hint="Name the directory of a project: <directory>/<project_name>.",
        )
    if (directory / "oracle.json").is_file():
        return ProjectError(
            f"{directory} holds a project of KerasTuner.",
            hint=f"Take it over with `aiotune import-kerastuner {directory}`, then look at the copy.",
        )
    inside = sorted(path.parent.name for path in directory.glob("*/journal"))
    hint = (
        f"There are projects within it: {', '.join(inside[:5])}. Name one of them."
        if inside
        else "Name the directory of a project: <directory>/<project_name>."
    )
    return ProjectError(f"{directory} holds no journal, so it is no project of aiotune.", hint=hint)


def _table(result: SearchResult, most: int) -> str:
    from aiotune._printable import printable
    from aiotune._summaries import ranked

    ended = ranked(result.trials, maximize=result.objective.direction == "max")
    others = [trial for trial in result.trials if not trial.status.is_final]
    counts = ", ".join(f"{number} {status.lower()}" for status, number in result.counts.items())
    lines = [
        f"{printable(result.project_dir)}: {len(result.trials)} trials ({counts or 'none'})",
        printable(result.objective),
    ]
    shown = [*ended, *others][:most]
    if shown:
        lines += ["", *_aligned([_HEAD, *(_cells(trial) for trial in shown)])]
    left = len(result.trials) - len(shown)
    if left:
        lines.append(f"... and {left} more; see -n and --format csv.")
    return "\n".join(lines)


_HEAD = ("trial", "status", "score", "step", "hyperparameters, or what went wrong")


def _cells(trial: Trial) -> tuple[str, ...]:
    from aiotune._printable import printable

    values = ", ".join(f"{name}={_brief(value)}" for name, value in trial.values.items())
    if trial.failure is not None and not trial.status.is_final:
        values = f"{values}; last: {trial.failure.summary()}"
    elif trial.failure is not None:
        values = f"{trial.failure.summary()}; {values}"
    score = "" if trial.score is None else f"{trial.score:.6g}"
    step = "" if trial.score is None else str(trial.best_step)
    name = printable(trial.trial_id, _WIDE)
    return name, str(trial.status), score, step, printable(values, _WIDE)


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines, numbers to the right, the last column as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = {2, 3}
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row[:-1], widths, strict=False))
        ]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with ``None`` for what JSON cannot write."""
    bad = {k for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)}
    return {name: None if name in bad else value for name, value in row.items()}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    from aiotune._printable import printable

    # A project's names and values must not write to the terminal of who looks at it.
    rows = [
        {printable(k): printable(v) if isinstance(v, str) else v for k, v in row.items()}
        for row in rows
    ]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


# ── import-kerastuner ──────────────────────────────────────────────────────


def _add_import(commands: Any) -> None:
    parser = commands.add_parser(
        "import-kerastuner",
        help="make a project of aiotune from one of KerasTuner",
        description="Make a project of aiotune from one of KerasTuner, which stays as it is. A tuner of "
        "aiotune with the same directory and project name then goes on with it.",
    )
    parser.add_argument("source", metavar="DIR", help="KerasTuner's <directory>/<project_name>")
    parser.add_argument("--into", metavar="DIR", help="where the project goes (default: here)")
    parser.add_argument("--project-name", metavar="NAME", help="its name (default: as it was)")
    parser.add_argument(
        "--objective", action="append", type=_objective, metavar="NAME[:min|max]",
        help="what was optimised, once for each objective (default: what the scores show)",
    )  # fmt: skip
    parser.add_argument(
        "--oracle", metavar="NAME",
        help="random, grid, bayesian, hyperband or the name of a class (default: what the files show)",
    )  # fmt: skip
    parser.add_argument(
        "--boolean", action="append", default=[], metavar="NAME",
        help="a Choice in which KerasTuner wrote True and False as 1 and 0; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--skip-damaged", action="store_true", help="leave out files that cannot be read"
    )
    parser.set_defaults(run=_import)


def _objective(text: str) -> Any:
    from aiotune._printable import printable
    from aiotune.objective import Objective, create_objective

    name, colon, direction = text.rpartition(":")
    try:
        return Objective(name, direction) if colon else create_objective(text)
    except UnknownDirection as error:
        said = printable(text, 100)
        raise argparse.ArgumentTypeError(
            f"{error.message} Write {said}:max or {said}:min."
        ) from None
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _import(given: argparse.Namespace) -> None:
    from aiotune.migration import import_keras_tuner

    made = asyncio.run(
        import_keras_tuner(
            given.source,
            given.into,
            given.project_name,
            objective=given.objective,
            oracle=given.oracle,
            booleans=given.boolean,
            skip_damaged=given.skip_damaged,
        )
    )
    _say(_told(made))


def _told(made: Imported) -> str:
    counts = ", ".join(f"{number} {status.lower()}" for status, number in made.counts.items())
    settings = "".join(f", {name}={value!r}" for name, value in made.settings.items())
    directory, name = made.project_dir.parent, made.project_dir.name
    return "\n".join(
        [
            f"Made {made.project_dir} from {made.source}: {sum(made.counts.values())} trials ({counts or 'none'}).",
            f"Objective: {made.objective}",
            f"Oracle: {made.oracle}{settings}",
            *(f"Note: {note}" for note in made.notes),
            f"Go on with directory={str(directory)!r}, project_name={name!r}.",
        ]
    )


# ── doctor ─────────────────────────────────────────────────────────────────


def _add_doctor(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor",
        help="say what is wrong with a project, and mend it if asked to",
        description="Say what is wrong with a project, one finding a line, and what to do about it. Changes "
        "nothing without --repair. Exits with 3 if something is wrong.",
    )
    parser.add_argument("directory", metavar="DIR", help="<directory>/<project_name>")
    parser.add_argument(
        "--repair", action="store_true",
        help="mend what can be mended; nothing is removed, what is in the way goes to DIR/damaged-*",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="tell it to a program, as one JSON object"
    )
    parser.set_defaults(run=_doctor)


def _doctor(given: argparse.Namespace) -> int:
    from aiotune._printable import printable
    from aiotune.checkup import examine, mend

    layout = _layout(Path(given.directory))
    if not given.repair:
        before = after = examine(layout)
        aside = None
    else:
        before, aside = mend(layout)
        after = examine(layout)
    if given.json:
        told = {**after.to_dict(), "put_aside": None if aside is None else str(aside)}
        _say(json.dumps({**told, "before": before.to_dict()} if given.repair else told))
        return 0 if after.whole else _DAMAGED
    for finding in before.findings:
        _say(printable(finding.line(), 2000))
    _say(_advice(after, aside, mended=given.repair))
    return 0 if after.whole else _DAMAGED


def _advice(found: Examination, aside: Path | None, *, mended: bool) -> str:
    from aiotune._printable import printable

    faults = [finding for finding in found.findings if finding.is_fault]
    if aside is not None:
        left = f"; {len(faults)} faults are left" if faults else ""
        return f"Repaired. The damaged files are in {printable(aside)}; a search goes on with the project as it is now{left}."
    if not faults:
        return "Nothing is wrong."
    if mended or not any(finding.mended_by for finding in faults):
        return f"{len(faults)} faults are left, which only you can mend."
    return "Nothing was changed. To repair it, run the command again with --repair."
