"""Measures, weighs and traces each model of a case list on the back end of KERAS_BACKEND.

A process that imported Keras and ran no operation forks a child for each
measurement, so that no model sees what another one left. Prints a line of JSON
for each case.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import gc
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras  # noqa: TID253 - a program of its own
import numpy as np
from _memory_models import FAMILIES, Case, cases

from aiotune.memory import state_bytes, training_bytes
from aiotune.worker._cpu import on_the_cpu
from aiotune.worker._input_spec import BatchSpec
from aiotune.worker._model_size import measure
from aiotune.worker._tracing import traced_peak
from aiotune.worker._valueless import Meter, Valueless

BACKEND = keras.backend.backend()
M_MMAP_THRESHOLD = -3  # of malloc.h
STEPS = 2  # the second meets the gradients of the first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, default=3, help="how many sizes of each family")
    parser.add_argument("families", nargs="*", help="default: all")
    options = parser.parse_args()
    for case in cases():
        family = FAMILIES[case.family]
        if options.families and case.family not in options.families:
            continue
        if case.size not in family.sizes[-options.sizes :]:
            continue
        row = {"backend": BACKEND, "family": case.family, "size": case.size, "batch": case.batch}
        for work in (weighed, measured):
            row |= in_a_child(work, case)
        print(json.dumps(row), flush=True)


def in_a_child(work: Callable[[Case], dict[str, Any]], case: Case) -> dict[str, Any]:
    """Run some work in a fork, and return what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with on_the_cpu(), os.fdopen(writing, "w") as answer:
            json.dump(work(case), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    if status or not text:
        raise RuntimeError(f"{work.__name__} of {case} ended with status {status}.")
    found: dict[str, Any] = json.loads(text)
    return found


# ── the truth ──────────────────────────────────────────────────────────────


def measured(case: Case) -> dict[str, Any]:
    """Trace the model, train it for a few steps, and return what the latter adds to the process.

    What compilers and libraries keep for themselves is there before, and so is
    not taken for the model's: a smaller model of the family was trained on two samples.
    JAX compiles anew for each shape, so there the same model was trained before.
    """
    found = traced(case)
    if BACKEND != "jax":  # XLA takes all temporaries in one piece, and compiles in small ones
        return_at_once()
    small = dataclasses.replace(case, size=FAMILIES[case.family].sizes[0], batch=2)
    train(case if BACKEND == "jax" else small)
    keras.utils.clear_session()
    gc.collect()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # restarts VmHWM
    started = time.perf_counter()
    train(case)
    seconds = round(time.perf_counter() - started, 3)
    return {**found, "peak": status("VmHWM") - before, "train_seconds": seconds}


def return_at_once() -> None:
    """Let the C library give back to the kernel whatever is freed, if it has 64 KiB or more.

    Its heap would fill up with gaps: a recurrent model on torch took a third more.
    """
    if not ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 64 << 10):
        raise RuntimeError("mallopt refused a threshold of 64 KiB.")


def train(case: Case) -> None:
    model = case.build()
    x, y = (numbers(spec) for spec in case.spec())
    for _ in range(STEPS):
        model.train_on_batch(x, y)


def status(name: str) -> int:
    """Return a line of the process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10


def numbers(spec: Any) -> Any:
    rng = np.random.default_rng(0)
    if spec.dtype == "int32":
        return rng.integers(0, 10, spec.shape, dtype="int32")
    return rng.random(spec.shape, dtype="float32")


# ── the predictions ────────────────────────────────────────────────────────


def weighed(case: Case) -> dict[str, Any]:
    """Weigh the model, and apply the formula."""
    started = time.perf_counter()
    x, y = case.spec()
    with Valueless(Meter(None, None)):
        size, note = measure(
            case.build(), BatchSpec(x, y, None, case.batch), case.batch, None, "weighed"
        )
    if not size.has_activations:
        raise RuntimeError(f"{case} could not be weighed: {note}")
    return {
        "state": state_bytes(size),
        "formula": training_bytes(size),
        "weigh_seconds": round(time.perf_counter() - started, 3),
    }


def traced(case: Case) -> dict[str, Any]:
    """Trace a training step."""
    started = time.perf_counter()
    peak = traced_peak(case.build, case.spec(), BACKEND)
    return {"traced": peak, "trace_seconds": round(time.perf_counter() - started, 3)}


if __name__ == "__main__":
    main()
