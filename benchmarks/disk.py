"""What do two trials of HyperResNet leave on disk, with aiotune and with KerasTuner?

The guides' own example: 100 images of 28 by 28, one epoch. Depth and optimizer are
given (a ResNet-50 with Adam), so that both train models of one size.
KerasTuner runs in an environment of its own: --peer-python PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from _report import report, summary

SCRIPT = """
import asyncio, inspect, json, sys
import numpy as np
import {package} as package
from {package}.applications import HyperResNet

rng = np.random.default_rng(0)
x, y = rng.random((100, 28, 28, 1), dtype="float32"), np.eye(10)[rng.integers(0, 10, 100)]
hp = package.HyperParameters()
for name, value in {{"version": "v2", "conv3_depth": 4, "conv4_depth": 6, "optimizer": "adam"}}.items():
    hp.Fixed(name, value)
tuner = package.RandomSearch(
    HyperResNet(input_shape=(28, 28, 1), classes=10), hyperparameters=hp,
    objective="val_accuracy", max_trials=2, seed=int(sys.argv[1]),
    directory="my_dir", project_name="built_in_hypermodel", overwrite=True,
)
found = tuner.search(x, y, epochs=1, validation_data=(x, y), verbose=0)
if inspect.iscoroutine(found):
    asyncio.run(found)
(model,) = tuner.get_best_models()
print(json.dumps({{"parameters": model.count_params()}}))
"""


def megabytes(folder: Path) -> float:
    """Return what a folder holds."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # removed meanwhile
    return total / 1e6


def run(python: str, package: str, seed: int) -> dict[str, float]:
    """Search once; return megabytes at the end, the most there were, and the best model's size."""
    with tempfile.TemporaryDirectory() as directory:
        folder, most, over = Path(directory), [0.0], threading.Event()

        def watch() -> None:
            while not over.wait(0.2):
                most[0] = max(most[0], megabytes(folder))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            done = subprocess.run(
                [python, "-c", SCRIPT.format(package=package), str(seed)],
                cwd=folder,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.PIPE,
                check=True,
            )
        finally:
            over.set()
            watcher.join()
        parameters = json.loads(done.stdout.splitlines()[-1])["parameters"]
        end = megabytes(folder)
        return {"end": end, "most": max(most[0], end), "bytes a parameter": 1e6 * end / parameters}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3, help="repeats, each with another seed")
    parser.add_argument("--peer-python", help="an interpreter with keras-tuner and tensorboard")
    options = parser.parse_args()
    contenders = {"aiotune": sys.executable}
    if options.peer_python:
        contenders["keras_tuner"] = options.peer_python
    results: dict[str, Any] = {}
    for package, python in contenders.items():
        runs = [run(python, package, seed) for seed in range(1, options.n + 1)]
        results[package] = {
            "MB at the end": summary([r["end"] for r in runs], "MB"),
            "MB at most, meanwhile": summary([r["most"] for r in runs], "MB"),
            "bytes at the end for each parameter of the best model": summary(
                [r["bytes a parameter"] for r in runs], "B"
            ),
        }
    report(__doc__ or "", results, not_measured="longer searches; other models")


if __name__ == "__main__":
    main()
