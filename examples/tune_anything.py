"""Tune a plain function: twenty points of a parabola.

Run:      python examples/tune_anything.py
You see:  one line a trial, and an x near 0. No back end is imported anywhere.
"""

import asyncio

import aiotune


class Parabola(aiotune.RandomSearch):
    """A trial is whatever run_trial does; it returns a number to minimise."""

    def run_trial(self, trial: aiotune.Trial) -> float:
        x: float = trial.hyperparameters.Float("x", min_value=-1.0, max_value=1.0)
        return x * x + 1


tuner = Parabola(max_trials=20, seed=0, directory="runs", project_name="parabola", overwrite=True)
result = asyncio.run(tuner.search())
print(result)
