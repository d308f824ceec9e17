"""Guide: a ready-made tunable application; only its shallowest network, to be quick."""

import asyncio

import aiotune
import numpy as np
from aiotune.applications import HyperResNet

x_train, y_train = np.random.rand(20, 28, 28, 1), np.eye(10)[np.random.randint(0, 10, 20)]
x_val, y_val = np.random.rand(10, 28, 28, 1), np.eye(10)[np.random.randint(0, 10, 10)]

hypermodel = HyperResNet(input_shape=(28, 28, 1), classes=10)

smallest = aiotune.HyperParameters()
smallest.Fixed("conv3_depth", 4)
smallest.Fixed("conv4_depth", 6)

tuner = aiotune.RandomSearch(
    hypermodel,
    objective="val_accuracy",
    max_trials=1,
    hyperparameters=smallest,
    overwrite=True,
    directory="my_dir",
    project_name="built_in_hypermodel",
)

asyncio.run(tuner.search(
    x_train[:100], y_train[:100], epochs=1, validation_data=(x_val[:100], y_val[:100])
))
tuner.results_summary()
