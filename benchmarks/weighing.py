"""What does it take to weigh a model, and to refuse one of 100 billion parameters, on each back end?

Time is taken from the start of a worker, forked from a nursery that holds
keras, to its answer; so it includes the fork, loading the program, and the
imports and first operation of the fresh process. Memory is the growth of the
resident set's peak in a process that has weighed a small model before.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import report, summary

import aiotune
from aiotune.executors import LocalExecutor, WorkSpec
from aiotune.hyperparameters import Choice, serialize
from aiotune.wire import Failed, Payload, RunWeighing, Weighed
from aiotune.worker._weighing import run_weighing

MODELS = ("refused at 80 GB", "100 billion", "mlp", "cnn", "lstm", "transformer", "resnet50")
HUGE = 100_000


def layers_of(name: str) -> list[Any]:
    """Return what a sequential model is made of."""
    import keras

    k = keras.layers
    match name:
        case "refused at 80 GB" | "100 billion":
            return [keras.Input((HUGE,)), *(k.Dense(HUGE) for _ in range(10))]
        case "mlp":
            return [keras.Input((784,)), *(k.Dense(2048, "relu") for _ in range(6)), k.Dense(10)]
        case "cnn":
            convolutions = [k.Conv2D(64 * 2**i, 3, activation="relu") for i in range(4)]
            return [keras.Input((64, 64, 3)), *convolutions, k.Flatten(), k.Dense(10)]
        case "lstm":
            return [k.LSTM(256, return_sequences=True), k.LSTM(256), k.Dense(10)]
        case _:
            raise ValueError(f"There is no model called {name!r}.")


def transformer() -> Any:
    """Return three blocks of attention."""
    import keras

    k = keras.layers
    inputs = keras.Input((128, 256))
    x = inputs
    for _ in range(3):
        x = k.LayerNormalization()(k.Add()([x, k.MultiHeadAttention(4, 64)(x, x)]))
        x = k.LayerNormalization()(k.Add()([x, k.Dense(256)(k.Dense(1024, "gelu")(x))]))
    return keras.Model(inputs, k.Dense(10)(x))


def build(hp: aiotune.HyperParameters) -> Any:
    """Build the model that the order names."""
    import keras

    name = hp.Choice("model", list(MODELS))
    if name == "resnet50":
        model = keras.applications.ResNet50(weights=None)
    elif name == "transformer":
        model = transformer()
    else:
        model = keras.Sequential(layers_of(name))
    model.compile("adam", "mse")
    return model


def data_of(hp: aiotune.HyperParameters) -> Any:
    """Return inputs that take no memory, for a model."""
    shapes = {"lstm": (64, 64), "transformer": (128, 256), "cnn": (64, 64, 3), "mlp": (784,)}
    shape = shapes.get(str(hp.get("model")), (224, 224, 3))
    return np.broadcast_to(np.float32(0), (128, *shape))


class Model(aiotune.HyperModel):
    """Trains on what the model takes."""

    def build(self, hp: aiotune.HyperParameters) -> Any:
        return build(hp)

    def fit(self, hp: aiotune.HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        return model.fit(data_of(hp), np.zeros((128, 1), "float32"), batch_size=32, **kwargs)


def order_for(name: str) -> RunWeighing:
    space = [serialize(Choice("model", list(MODELS)))]
    return RunWeighing(
        trial_id="0",
        index=0,
        seed=0,
        stream=0,
        space={"space": space, "values": {"model": name}},
        objective=[{"name": "val_loss", "direction": "min"}],
        budget={},
        environment={"CUDA_VISIBLE_DEVICES": "-1"},
        threads=1,
        max_bytes=80_000_000_000 if name.startswith("refused") else None,
    )


def the_payload() -> Payload:
    tuner = aiotune.RandomSearch(Model(), "val_loss", max_trials=1)
    return Payload(tuner, (), {"epochs": 1})


async def latencies(times: int, directory: Path) -> dict[str, list[float]]:
    """Return milliseconds from the start of a worker to its answer."""
    executor = await LocalExecutor.start(the_payload())
    found: dict[str, list[float]] = {name: [] for name in MODELS}
    try:
        for turn in range(times + 1):
            for name in MODELS:
                work = WorkSpec(order_for(name), f"{turn}-{name[:3]}", directory / "output.log")
                began = time.perf_counter()
                worker = await executor.launch(work)
                async for message in worker.messages():
                    if isinstance(message, Weighed | Failed) and turn:  # the first warms up
                        found[name].append((time.perf_counter() - began) * 1e3)
                await worker.wait()
    finally:
        await executor.aclose()
    return found


def resident(field: str) -> int:
    """Return a figure of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


def growth(name: str) -> dict[str, Any]:
    """Weigh in this process; return the answer's figures and the growth of its memory."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    before, began = resident("VmRSS"), time.process_time()
    answer = run_weighing(order_for(name), the_payload())
    took = time.process_time() - began
    facts = {
        "growth MiB": round((resident("VmHWM") - before) / 2**20, 1),
        "weighing alone, CPU ms": round(took * 1e3, 1),
    }
    if isinstance(answer, Failed):
        return {**facts, "refused": answer.failure.message}
    assert answer.size is not None, answer.why
    return {**facts, "parameters": answer.size.parameters, "method": answer.size.method}


def measure(times: int) -> dict[str, Any]:
    """Measure the back end of this process."""
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(latencies(times, Path(directory)))
    growth("mlp")
    backend = os.environ["KERAS_BACKEND"]
    return {
        "version": importlib.import_module(backend).__version__,
        **{
            name: {"worker's start to answer": summary(found[name], "ms"), **growth(name)}
            for name in MODELS
        },
    }


def of_backend(python: str, backend: str, times: int) -> Any:
    """Measure a back end in a process of its own; ``None`` if it is not installed there."""
    done = subprocess.run(
        [python, __file__, "--backend", backend, "--times", str(times)],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--python", action="append", help="interpreters that have back ends")
    parser.add_argument("--backend", help="measure this one here")
    options = parser.parse_args()
    if options.backend:
        installed = importlib.util.find_spec(options.backend) is not None
        print(json.dumps(measure(options.times) if installed else None), flush=True)
        os._exit(0)  # a back end's exit handlers take seconds
    results = {}
    for python in options.python or [sys.executable]:
        for backend in ("tensorflow", "jax", "torch"):
            if (found := of_backend(python, backend, options.times)) is not None:
                results[backend] = found
    report(
        __doc__ or "",
        results,
        not_measured="GPU machines, whose hosts have other processors; models that must be built",
    )


if __name__ == "__main__":
    main()
