"""Guide: what causes run-time errors, example 3: up to ten layers of 2000 units."""

import asyncio

import aiotune as kt
import keras
import numpy as np

rng = np.random.default_rng(0)
x_train, y_train = rng.random((32, 10)), rng.integers(0, 10, 32)
x_val, y_val = rng.random((16, 10)), rng.integers(0, 10, 16)


def build_model(hp):
  num_layers = hp.Int('num_layers', min_value=1, max_value=10)
  model = keras.Sequential([keras.layers.Dense(hp.Int('units_' + str(i), min_value=1000, max_value=2000, step=100),
                                               activation='relu', input_shape=(10,)) for i in range(num_layers)] + [keras.layers.Dense(10, activation='softmax')])
  model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
  return model


tuner = kt.Hyperband(build_model, objective='val_accuracy', max_epochs=2, factor=3, seed=183, directory='my_dir', project_name='my_project')
tuner.search_space_summary()
asyncio.run(tuner.search(x=x_train, y=y_train, epochs=10, validation_data=(x_val, y_val)))
tuner.results_summary()
