"""How good is what is found, after 50, 100 and 200 trials, against KerasTuner and Optuna's GP?

``quality.py run`` searches and appends each search to a file of its cache, so
that nothing is run twice; ``quality.py report`` prints what the cache holds.
KerasTuner and Optuna are run as black boxes in interpreters of their own, and
take the same problems, seeds, and durations of trials (``quality_run.py``)::

    quality_tables.py TABLES
    quality.py run --contender aiotune --tables TABLES --cache CACHE
    quality.py run --contender keras-tuner --python PEER/bin/python --tables TABLES --cache CACHE
    quality.py report --cache CACHE

Figures are simple regrets, the least loss so far less the optimum.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _report import quantile, report
from quality_problems import NAMES

__all__ = ()

CHECKPOINTS = (25, 50, 100, 200)
_RUN = Path(__file__).with_name("quality_run.py")

Search = dict[str, Any]


def _cached(cache: Path) -> list[Search]:
    """Return the longest search of each (contender, problem, seed, in flight)."""
    longest: dict[tuple[Any, ...], Search] = {}
    for path in sorted(cache.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            found: Search = json.loads(line)
            key = tuple(found[k] for k in ("contender", "problem", "seed", "in_flight"))
            if key not in longest or longest[key]["evaluations"] < found["evaluations"]:
                longest[key] = found
    return list(longest.values())


def _wanted(options: argparse.Namespace) -> Iterator[Search]:
    # Seeds outside, so that a run that is cut short has something of everything.
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for problem in options.problems:
            for in_flight in options.in_flight:
                yield {
                    "contender": options.contender,
                    "problem": problem,
                    "seed": seed,
                    "in_flight": in_flight,
                    "evaluations": options.evaluations,
                }


def run(options: argparse.Namespace) -> None:
    """Search what the cache does not hold."""
    options.cache.mkdir(parents=True, exist_ok=True)
    keys = ("contender", "problem", "seed", "in_flight")
    known = {tuple(s[k] for k in keys): s["evaluations"] for s in _cached(options.cache)}
    for wanted in _wanted(options):
        if known.get(tuple(wanted[k] for k in keys), 0) >= options.evaluations:
            continue
        arguments = [str(v) for v in wanted.values()]
        done = subprocess.run(
            [options.python, str(_RUN), *arguments, str(options.tables)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"{arguments} ended with {done.returncode}:\n{done.stderr[-2000:]}")
            continue
        line = {**wanted, **json.loads(done.stdout.splitlines()[-1])}
        with (options.cache / f"{options.contender}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(*arguments, f"{min(line['losses']):.3g}", f"{line['cpu_s']:.1f} CPU s", flush=True)


def _figures(searches: list[Search]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for checkpoint in CHECKPOINTS:
        regrets = [
            min(s["losses"][:checkpoint]) for s in searches if len(s["losses"]) >= checkpoint
        ]
        if regrets:
            figures[str(checkpoint)] = {
                "median": float(f"{statistics.median(regrets):.4g}"),
                "quartiles": [float(f"{quantile(regrets, q):.4g}") for q in (0.25, 0.75)],
                "seeds": len(regrets),
            }
    spent = [s["cpu_s"] / len(s["losses"]) for s in searches]
    figures["cpu_s_an_evaluation"] = round(statistics.median(spent), 4)
    return figures


def summarise(options: argparse.Namespace) -> None:
    """Print what the cache holds, by problem, trials in flight and contender."""
    groups: dict[tuple[str, int, str], list[Search]] = defaultdict(list)
    for found in _cached(options.cache):
        if found["seed"] >= options.first_seed:
            groups[found["problem"], found["in_flight"], found["contender"]].append(found)
    results: dict[str, Any] = {}
    for (problem, in_flight, contender), searches in sorted(groups.items()):
        results.setdefault(f"{problem}, {in_flight} in flight", {})[contender] = _figures(searches)
    report(
        "Simple regret after so many trials: median and quartiles over seeds",
        results,
        not_measured="problems with failing trials or noise; more than 8 in flight; wall time",
    )


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.set_defaults(act=run)
    running.add_argument("--contender", required=True)
    running.add_argument("--python", default=sys.executable)
    running.add_argument("--tables", type=Path, required=True)
    running.add_argument("--problems", nargs="+", default=NAMES)
    running.add_argument("--in-flight", nargs="+", type=int, default=[1, 8])
    running.add_argument("--seeds", type=int, default=10)
    running.add_argument("--evaluations", type=int, default=50)
    reporting = commands.add_parser("report")
    reporting.set_defaults(act=summarise)
    for command in (running, reporting):
        command.add_argument("--cache", type=Path, required=True)
        command.add_argument("--first-seed", type=int, default=100)
    options = parser.parse_args()
    options.act(options)


if __name__ == "__main__":
    main()
