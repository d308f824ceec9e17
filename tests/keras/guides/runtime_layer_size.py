"""Guide: what causes run-time errors, example 1: a layer size below zero."""

import asyncio

import aiotune as kt
import keras
import numpy as np

rng = np.random.default_rng(0)
x_train, y_train = rng.random((64, 10)), rng.integers(0, 5, 64)
x_val, y_val = rng.random((32, 10)), rng.integers(0, 5, 32)


def build_model(hp):
    model = keras.Sequential([
        keras.layers.Dense(units=hp.Int('units', min_value=10, max_value=100, step=10),
                           activation='relu', input_shape=(10,)),
        keras.layers.Dense(units=hp.Int('units_2', min_value=-10, max_value=50, step=5), activation='softmax')
    ])
    model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
    return model


tuner = kt.RandomSearch(build_model, objective='val_accuracy', max_trials=5, seed=3)
tuner.search_space_summary()
asyncio.run(tuner.search(x=x_train, y=y_train, epochs=2, validation_data=(x_val, y_val)))
tuner.results_summary()
