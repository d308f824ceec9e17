"""Callbacks of the user, and what a tuner may say instead of the model's own compile()."""

import asyncio

import aiotune
import keras
import numpy as np


class Counting(keras.callbacks.Callback):
    """Counts epochs; every training has a copy of it."""

    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        print(f"this copy has seen {self.epochs} epochs")


def build_model(hp):
    units = hp.Choice("units", [4, 8, 4096])
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dense(1)])


tuner = aiotune.GridSearch(
    build_model,
    objective="val_mean_absolute_error",
    optimizer=keras.optimizers.SGD(1e-6),
    loss="mse",
    metrics=["mean_absolute_error"],
    max_model_size=1000,
    executions_per_trial=2,
    project_name="callbacks",
)
asyncio.run(tuner.search(
    np.random.rand(32, 3),
    np.random.rand(32, 1),
    epochs=6,
    validation_split=0.25,
    callbacks=[
        keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e-3),
        keras.callbacks.TensorBoard("logs"),
        Counting(),
    ],
))
tuner.results_summary()
model = tuner.get_best_models()[0]
print(type(model.optimizer).__name__, model.loss, float(model.optimizer.learning_rate))
