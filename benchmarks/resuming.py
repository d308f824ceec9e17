"""What does a resumed project keep of memory, and what does a report cost a pruner in it?

A project of many trials with many reported epochs each is opened in a process of its own; one more
trial then reports its epochs. With ``--against`` the same is measured, in turn, with another
version of the package, and the ratio is told.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import quantile, report, summary
from journal import ended

from aiotune import events
from aiotune.hyperparameters import HyperParameters
from aiotune.oracles import Oracle
from aiotune.pruners import MedianPruner, PatiencePruner, SuccessiveHalvingPruner
from aiotune.status import TrialStatus
from aiotune.store import Layout, open_project

_OBJECTIVE = [{"name": "val_loss", "direction": "min"}]
_PRUNERS: dict[str, Any] = {
    "none": lambda: None,
    "median": lambda: MedianPruner(min_trials=5),
    "halving": SuccessiveHalvingPruner,
    "patience": lambda: PatiencePruner(3, wrapped=MedianPruner()),
}


async def fill(layout: Layout, trials: int, reports: int) -> None:
    """Make a project whose trials have reported so many epochs each."""
    rng, store = random.Random(1), await open_project(layout)
    store.append(
        events.SearchStarted(oracle="Oracle", objective=_OBJECTIVE, seed=1, max_trials=None)
    )
    for index in range(trials):
        trial = f"{index:04d}"
        end = ended(rng, trial)
        attempt: Any = {"trial_id": trial, "attempt": 1, "attempt_id": f"{trial}-01"}
        store.append(
            events.TrialCreated(trial_id=trial, index=index, values=end.values, stream=0, at=1.7e9),
            events.AttemptStarted(devices=["cpu"], at=1.7e9, **attempt),
        )
        for step in range(reports):
            metrics = {name: rng.random() for name in end.metrics}
            store.append(
                events.MetricsReported(trial_id=trial, attempt=1, step=step, metrics=metrics)
            )
        commit = store.append(
            events.AttemptEnded(outcome=TrialStatus.COMPLETED, at=1.7e9, **attempt), end
        )
        if index % 50 == 0:
            await commit
    await store.aclose()


def _memory() -> tuple[float, float]:
    """Return what this process holds and has held at most, in MiB."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {k: v for k, _, v in (line.partition(":\t") for line in lines)}
    return tuple(int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


async def look(folder: str, pruner: str, reports: int) -> dict[str, float]:
    """Open the project, report the epochs of some more trials, and return what that took."""
    hp = HyperParameters()
    hp.Float("x", 0.0, 1.0)
    oracle = Oracle("val_loss", hyperparameters=hp, seed=1, pruner=_PRUNERS[pruner]())
    before, _ = _memory()
    began = time.perf_counter()
    async with oracle.open(folder, "large"):
        opened = time.perf_counter() - began
        after, most = _memory()
        rng, spent = random.Random(2), []
        for _ in range(10):
            trial = await oracle.create_trial("w")
            for step in range(reports):
                metrics = {"val_loss": rng.random() / 3}
                began = time.perf_counter()
                await oracle.update_trial(trial.trial_id, metrics, step)
                spent.append((time.perf_counter() - began) * 1e3)
            await oracle.end_trial(trial)
        last, _ = _memory()
    return {
        "kept_MiB": after - before,
        "most_MiB": most - before,
        "kept_after_reports_MiB": last - before,
        "opening_s": opened,
        "first_report_ms": spent[0],
        "report_p50_ms": quantile(spent[1:], 0.5),
        "report_p99_ms": quantile(spent[1:], 0.99),
        "report_max_ms": max(spent[1:]),
    }


def _in_a_process(folder: Path, pruner: str, reports: int, package: str | None) -> dict[str, float]:
    environment = dict(os.environ)
    if package is not None:
        environment["PYTHONPATH"] = package
    command = [sys.executable, __file__, "--look", str(folder), pruner, str(reports)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    if sys.argv[1:2] == ["--look"]:
        print(json.dumps(asyncio.run(look(sys.argv[2], sys.argv[3], int(sys.argv[4])))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="repeats")
    parser.add_argument("--trials", type=int, default=3_000)
    parser.add_argument("--reports", type=int, default=100)
    parser.add_argument("--pruner", choices=sorted(_PRUNERS), default="none")
    parser.add_argument("--against", default=None, help="folder that holds another aiotune")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        folder = Path(directory)
        asyncio.run(fill(Layout(folder, "large"), given.trials, given.reports))
        versions: dict[str, str | None] = {"this": None}
        if given.against is not None:
            versions["the other"] = given.against
        _in_a_process(folder, "none", 1, None)  # writes the snapshots, which every later one finds
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in versions}
        for _ in range(given.n):
            for name, package in versions.items():
                runs[name].append(_in_a_process(folder, given.pruner, given.reports, package))
    for name, found in runs.items():
        results[name] = {
            key: summary([run[key] for run in found], key.rsplit("_", 1)[-1]) for key in found[0]
        }
    if given.against is not None:
        results["the other / this, medians"] = {
            key: round(quantile([r[key] for r in runs["the other"]], 0.5) / max(1e-9, here), 2)
            for key in runs["this"][0]
            for here in [quantile([r[key] for r in runs["this"]], 0.5)]
        }
    report(__doc__ or "", results, not_measured="trials with a back end; other disks")


if __name__ == "__main__":
    main()
