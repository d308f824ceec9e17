"""How many ask, report, tell cycles does an oracle do per second, without training?"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from _report import report, summary

from aiotune import HyperParameters
from aiotune.oracles import RandomSearchOracle


def space() -> HyperParameters:
    """Return ten mixed hyperparameters."""
    hp = HyperParameters()
    for i in range(4):
        hp.Float(f"float_{i}", 1e-4, 1.0, sampling="log")
    for i in range(3):
        hp.Int(f"int_{i}", 1, 1000)
    for i in range(2):
        hp.Choice(f"choice_{i}", ["a", "b", "c"])
    hp.Boolean("flag")
    return hp


async def cycles(oracle: RandomSearchOracle, name: str, count: int) -> None:
    """Run one asker for some cycles."""
    for _ in range(count):
        trial = await oracle.create_trial(name)
        await oracle.update_trial(trial.trial_id, {"loss": 0.5}, step=1)
        await oracle.end_trial(trial)


async def rate(total: int, in_flight: int, directory: str | None) -> float:
    """Return cycles per second."""
    oracle = RandomSearchOracle(objective="loss", max_trials=None, hyperparameters=space(), seed=0)
    async with oracle.open(directory, None if directory is None else "bench"):
        started = time.perf_counter()
        askers = (cycles(oracle, f"w{i}", total // in_flight) for i in range(in_flight))
        await asyncio.gather(*askers)
        return total // in_flight * in_flight / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=10000)
    options = parser.parse_args()
    results = {}
    for durable in (False, True):
        for in_flight in (1, 64):
            total = options.cycles if in_flight > 1 or not durable else options.cycles // 5
            runs = []
            for _ in range(options.n):
                with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
                    runs.append(asyncio.run(rate(total, in_flight, directory if durable else None)))
            where = "durable" if durable else "in memory"
            results[f"{where}, {in_flight} in flight"] = summary(runs, "cycles/s")
    report(__doc__ or "", results, not_measured="model-based searchers")


if __name__ == "__main__":
    main()
