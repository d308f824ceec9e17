"""How many commits a second does the journal make durable, how late is the loop, how fast does a project open?"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from _report import quantile, report, summary

from aiotune import events
from aiotune.objective import objective_from_dicts
from aiotune.status import TrialStatus
from aiotune.store import FileStore, Layout, open_project
from aiotune.store._replay import ProjectState

_TICK = 0.001
_OBJECTIVE = [{"name": "val_loss", "direction": "min"}]


def values_of(rng: random.Random) -> dict[str, Any]:
    """Return twelve hyperparameters' values."""
    numbers = {f"float_{i}": rng.uniform(1e-4, 1.0) for i in range(8)}
    return {**numbers, **{f"choice_{i}": rng.choice("abc") for i in range(4)}}


def ended(rng: random.Random, trial_id: str) -> events.TrialEnded:
    """Return a trial's end, of about 500 bytes as a line."""
    metrics = {name: rng.random() for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    return events.TrialEnded(
        trial_id=trial_id,
        status=TrialStatus.COMPLETED,
        values=values_of(rng),
        score=metrics["val_loss"],
        best_step=2,
        metrics=metrics,
        at=1.7e9,
    )


async def commit_rate(folder: Path, committers: int, seconds: float) -> dict[str, float]:
    """Return durable commits per second, and how long they took and how late the loop was, in ms."""
    store = await open_project(Layout(folder, "commits"))
    event = ended(random.Random(0), "0000")
    waits: list[float] = []
    deadline = time.perf_counter() + seconds

    async def commit() -> None:
        while (began := time.perf_counter()) < deadline:
            await store.append(event)
            waits.append(time.perf_counter() - began)

    lags: list[float] = []
    watching = asyncio.ensure_future(_watch(lags))
    await asyncio.gather(*(commit() for _ in range(committers)))
    watching.cancel()
    await store.aclose()
    return {
        "commits_per_s": len(waits) / seconds,
        "ack_ms_p50": quantile(waits, 0.5) * 1e3,
        "ack_ms_p99": quantile(waits, 0.99) * 1e3,
        "lag_ms_p99": quantile(lags, 0.99) * 1e3,
        "lag_ms_max": max(lags) * 1e3,
    }


def _committing(folder: Path, committers: int, seconds: float) -> dict[str, float]:
    return asyncio.run(commit_rate(folder, committers, seconds))


async def _watch(lags: list[float]) -> None:
    while True:
        due = time.perf_counter() + _TICK
        await asyncio.sleep(_TICK)
        lags.append(time.perf_counter() - due)


async def fill(layout: Layout, trials: int) -> None:
    """Make a project: seven records a trial, three of them epochs."""
    rng, store = random.Random(1), await open_project(layout)
    names = list(values_of(rng))
    entries = [{"class_name": "Fixed", "config": {"name": n, "value": 0}} for n in names]
    search = events.SearchStarted(oracle="o", objective=_OBJECTIVE, seed=1, max_trials=trials)
    store.append(search, events.SpaceGrew(entries=entries))
    for index in range(trials):
        await _record_trial(store, rng, index, last=index % 100 == 0)
    await store.aclose()


async def _record_trial(store: FileStore, rng: random.Random, index: int, *, last: bool) -> None:
    trial = f"{index:05d}"
    end = ended(rng, trial)
    attempt: dict[str, Any] = {
        "trial_id": trial,
        "attempt": 1,
        "attempt_id": f"{trial}-01-{index:08x}",
    }
    store.append(
        events.TrialCreated(trial_id=trial, index=index, values=end.values, stream=0, at=1.7e9),
        events.AttemptStarted(devices=["cpu"], at=1.7e9, **attempt),
    )
    for step in range(3):
        store.append(
            events.MetricsReported(trial_id=trial, attempt=1, step=step, metrics=end.metrics)
        )
    commit = store.append(
        events.AttemptEnded(outcome=TrialStatus.COMPLETED, duration=1.0, at=1.7e9, **attempt), end
    )
    if last:
        await commit


async def opening(layout: Layout) -> dict[str, float]:
    """Return the seconds that opening a project and folding its history took."""
    wall, cpu = time.perf_counter(), time.process_time()
    store = await open_project(layout)
    read, read_cpu = time.perf_counter(), time.process_time()
    state = ProjectState.replay(store.history(), seed=0, objective=objective_from_dicts(_OBJECTIVE))
    done, done_cpu = time.perf_counter(), time.process_time()
    assert state.search is not None
    assert len(state.trials) == state.search.max_trials
    await store.aclose()
    return {
        "wall_s": done - wall,
        "cpu_s": done_cpu - cpu,
        "reading_cpu_s": read_cpu - cpu,
        "folding_cpu_s": done_cpu - read_cpu,
        "reading_wall_s": read - wall,
    }


def _units(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {name: summary([run[name] for run in runs], name.rsplit("_", 1)[-1]) for name in runs[0]}


def _repeated(n: int, once: Callable[[], dict[str, float]]) -> dict[str, Any]:
    return _units([once() for _ in range(n)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="repeats")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--directory", default=None, help="on the disk to be measured")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=given.directory or Path.cwd()) as directory:
        folder = Path(directory)
        for many in (1, 64, 512):
            committing = partial(_committing, folder, many, given.seconds)
            results[f"{many} committers"] = _repeated(given.n, committing)
        layout = Layout(folder, "large")
        asyncio.run(fill(layout, given.trials))
        sizes = [path.stat().st_size for path in layout.journal_dir.glob("*.jsonl")]
        results["project"] = {"trials": given.trials, "segments": len(sizes), "bytes": sum(sizes)}

        def first() -> dict[str, float]:
            for path in layout.journal_dir.glob("*.snapshot"):
                path.unlink()
            return asyncio.run(opening(layout))

        results["first opening"] = _repeated(given.n, first)
        results["later openings"] = _repeated(given.n, lambda: asyncio.run(opening(layout)))
    report(__doc__ or "", results, not_measured="other disks; networks; a cold page cache")


if __name__ == "__main__":
    main()
