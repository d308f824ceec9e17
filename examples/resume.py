"""Stop a search in the middle and continue it.

Run:      python examples/resume.py
You see:  a search that a timeout cancels, and the same search taken up again:
          finished trials stay, the interrupted one runs once more.
"""

import asyncio
import time

import aiotune


class Slow(aiotune.RandomSearch):
    """Half a second of work."""

    def run_trial(self, trial: aiotune.Trial) -> float:
        time.sleep(0.5)  # noqa: TID251 - stands for training
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))


def tuner() -> Slow:
    return Slow(
        max_trials=6, seed=0, max_parallel_trials=1, directory="runs", project_name="resume"
    )


async def interrupted() -> None:
    try:
        await asyncio.wait_for(tuner().search(), timeout=2)
    except TimeoutError:
        print("--- interrupted; now the same program again ---")


asyncio.run(interrupted())
print(asyncio.run(tuner().search()))
