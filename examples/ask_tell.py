"""Use an oracle alone: ask for a trial, do the work yourself, tell the result.

Run:      python examples/ask_tell.py
You see:  three workers of this program sharing one durable oracle.
"""

import asyncio

from aiotune import HyperParameters, Trial
from aiotune.oracles import Oracle, RandomSearchOracle

space = HyperParameters()
space.Float("x", -1.0, 1.0)

oracle = RandomSearchOracle(objective="loss", max_trials=12, hyperparameters=space, seed=0)


async def work(trial: Trial) -> float:
    await asyncio.sleep(0.01)
    return float(trial.values["x"]) ** 2


async def worker(name: str, oracle: Oracle) -> None:
    while (trial := await oracle.create_trial(name)).status == "RUNNING":
        await oracle.update_trial(trial.trial_id, {"loss": await work(trial)}, step=1)
        await oracle.end_trial(trial)


async def main() -> None:
    async with oracle.open("runs", "ask_tell", overwrite=True):
        await asyncio.gather(*(worker(f"w{i}", oracle) for i in range(3)))
        for trial in oracle.get_best_trials(3):
            print(trial.trial_id, trial.score, dict(trial.values))


asyncio.run(main())
