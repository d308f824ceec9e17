"""Guide: what causes run-time errors, example 2: learning rates that let training diverge."""

import asyncio

import aiotune as kt
import keras
import numpy as np

rng = np.random.default_rng(0)
# So large that 32 bits cannot hold what training makes of it.
x_train, y_train = rng.random((64, 10)) * 1e34, rng.integers(0, 10, 64)
x_val, y_val = rng.random((32, 10)) * 1e34, rng.integers(0, 10, 32)


def build_model(hp):
  model = keras.Sequential([
      keras.layers.Dense(64, activation='relu', input_shape=(10,)),
      keras.layers.Dense(10, activation='softmax')
  ])
  model.compile(optimizer=keras.optimizers.Adam(learning_rate=hp.Choice('learning_rate', values=[0.01, 0.1, 1.0, 10.0])),
                 loss='sparse_categorical_crossentropy', metrics=['accuracy'])
  return model


tuner = kt.BayesianOptimization(build_model, objective='val_accuracy', max_trials=5)
asyncio.run(tuner.search(x=x_train, y=y_train, epochs=3, validation_data=(x_val, y_val)))
tuner.results_summary()
