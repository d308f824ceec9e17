"""A search is one task among others: the program goes on with its own work.

Run:      python examples/inside_a_server.py
You see:  a heartbeat that the search does not disturb.
"""

import asyncio
import time

import aiotune


class Work(aiotune.RandomSearch):
    """Some milliseconds of work."""

    def run_trial(self, trial: aiotune.Trial) -> float:
        time.sleep(0.05)  # noqa: TID251 - stands for training
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))


async def heartbeat() -> None:
    latest = 0.0
    try:
        while True:
            due = time.perf_counter() + 0.01
            await asyncio.sleep(0.01)
            latest = max(latest, time.perf_counter() - due)
    finally:
        print(f"the heartbeat was never more than {latest * 1e3:.0f} ms late")


async def main() -> None:
    beat = asyncio.ensure_future(heartbeat())
    tuner = Work(max_trials=30, directory="runs", project_name="server", overwrite=True)
    result = await tuner.search(verbose=0)
    beat.cancel()
    await asyncio.gather(beat, return_exceptions=True)
    print(result)


asyncio.run(main())
