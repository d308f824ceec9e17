"""Guide: tune any function."""

import asyncio

import aiotune


class MyTuner(aiotune.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        hp = trial.hyperparameters
        x = hp.Float("x", min_value=-1.0, max_value=1.0)
        return x * x + 1


tuner = MyTuner(
    max_trials=20,
    overwrite=True,
    directory="my_dir",
    project_name="tune_anything",
)

asyncio.run(tuner.search())
print(tuner.get_best_hyperparameters()[0].get("x"))
