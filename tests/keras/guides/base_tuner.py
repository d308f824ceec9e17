"""Page of the base tuner: run_trial of one's own, models kept and loaded, hooks, state."""

import asyncio
import json

import aiotune
import keras
import numpy as np


def build(hp):
    model = keras.Sequential([keras.layers.Dense(hp.Choice("units", [2, 4, 8])), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    return model


class WithHypermodel(aiotune.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        hp = trial.hyperparameters
        model = self.hypermodel.build(hp)
        return self.hypermodel.fit(hp, model, *args, **kwargs)


class BlackBox(aiotune.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        hp = trial.hyperparameters
        x = hp.Float("x", -2.0, 2.0)
        y = x * x + 2 * x + 1
        return y


class Linear(aiotune.BaseTuner):
    """Fits a line by hand, keeps it as JSON, and counts what it ran."""

    seen = 0

    def run_trial(self, trial, x, y):
        rate = trial.hyperparameters.Choice("rate", [0.01, 0.1, 0.5])
        slope = 0.0
        for epoch in range(20):
            slope -= rate * float(np.mean(2 * (slope * x - y) * x))
            self.save_model(trial.trial_id, {"slope": slope}, step=epoch)
        return {"error": float(np.mean((slope * x - y) ** 2)), "slope": slope}

    def save_model(self, trial_id, model, step=0):
        (self.get_trial_dir(trial_id) / "line.json").write_text(json.dumps({**model, "step": step}))

    def load_model(self, trial):
        return json.loads((self.get_trial_dir(trial.trial_id) / "line.json").read_text())

    def on_search_begin(self):
        print("search begins")

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        self.seen += 1

    def on_search_end(self):
        print("search ends")

    def get_state(self):
        return {"seen": self.seen}

    def set_state(self, state):
        self.seen = state["seen"]


x, y = np.random.rand(64, 3), np.random.rand(64, 1)

tuner = WithHypermodel(build, objective="val_loss", max_trials=2, project_name="with_hypermodel")
asyncio.run(tuner.search(x, y, epochs=2, validation_split=0.25))
tuner.results_summary()
print(tuner.remaining_trials)
best_hp = tuner.get_best_hyperparameters()[0]
model = tuner.hypermodel.build(best_hp)
model.fit(x, y, verbose=0)

tuner = BlackBox(max_trials=15, seed=1, project_name="black_box")
asyncio.run(tuner.search())
print("x is", tuner.get_best_hyperparameters()[0].get("x"))


def linear(budget):
    oracle = aiotune.oracles.GridSearchOracle(aiotune.Objective("error", "min"), max_trials=budget)
    return Linear(oracle, project_name="linear")


line = np.linspace(0, 1, 32)
tuner = linear(2)
asyncio.run(tuner.search(line, 3 * line))
tuner = linear(3)
asyncio.run(tuner.search(line, 3 * line))
print("slope is", tuner.get_best_models()[0]["slope"], "after", tuner.seen, "trials")
