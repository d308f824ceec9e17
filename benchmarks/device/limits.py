"""Does a back end keep to the limit that it is given after a fork, and what does it say at the limit?

Each way to set a limit is tried with a process that allocates until it fails,
and with a training that does not fit. What was raised goes through aiotune's
classifier. Last, a device that somebody else has filled: there the limit is
not reached, and the classifier should not blame the trial.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from typing import Any

import _backend
from _children import Answer, Child, Job, described, run_job
from _lab import GIB, MIB, Lab, begin

from aiotune.memory import MemoryLimit
from aiotune.worker._limits import limit_memory

_STEP = 128 * MIB
_WAYS = {
    "torch": ("set_per_process_memory_fraction", "PYTORCH_ALLOC_CONF", "aiotune"),
    "jax": ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION", "aiotune"),
    "tensorflow": ("aiotune",),
}


def set_limit(way: str, limit: int, total: int) -> None:
    """Limit this process to so many bytes of a device of ``total``."""
    share = limit / total
    if _backend.only_cpu():
        data = _backend.data_bytes() + limit
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    elif way == "set_per_process_memory_fraction":
        import torch

        torch.cuda.set_per_process_memory_fraction(share)
    elif way == "PYTORCH_ALLOC_CONF":
        os.environ[way] = f"per_process_memory_fraction:{share:.6f}"
    elif way == "aiotune":
        limit_memory(MemoryLimit(bytes=limit, device_total=total), [])
    elif way != "none":
        for name in _WAYS["jax"][:2]:
            os.environ.pop(name, None)  # both at once are an error
        os.environ[way] = f"{share:.6f}"


def fill(way: str, limit: int, total: int, most: int) -> dict[str, Any]:
    """Allocate piece by piece until it fails, or until ``most`` bytes."""
    set_limit(way, limit, total)
    held: list[Any] = []
    failure: dict[str, Any] | None = None
    while len(held) * _STEP < most:
        try:
            held.append(_backend.allocate(_STEP))
        except Exception as error:  # noqa: BLE001 - which one is the question
            failure = described(error, MemoryLimit(bytes=limit, device_total=total))
            break
    counted = _backend.counters()
    return {"held": len(held) * _STEP, "failure": failure, "counters": counted}


def train_too_large(way: str, limit: int, total: int) -> None:
    """Train a model whose weights alone exceed the limit; the failure is the answer."""
    import keras
    import numpy as np

    set_limit(way, limit, total)
    units = int((limit / 4) ** 0.5) + 1
    hidden = [keras.layers.Dense(units) for _ in range(2)]
    model = keras.Sequential([keras.Input((units,)), *hidden])
    model.compile("adam", "mse")
    x = np.zeros((8, units), "float32")
    model.fit(x, x, batch_size=8, verbose=0)


def keep(size: int) -> Iterator[int]:
    """Hold so many bytes until told to go on."""
    held = _backend.allocate(size)
    yield size
    del held


def classified(lab: Lab, what: str, failure: Any) -> None:
    """Note what the classifier made of a failure, and its text for the catalogue."""
    if failure is None:
        lab.find(f"{what}: fails at the limit", "no", holds=False)
        return
    memory = failure.get("memory") or {}
    text = f"{failure.get('type')} -> {failure.get('kind')}, {memory.get('cause', 'no cause')}"
    lab.find(f"{what}: is classified", text, failure.get("kind") == "out_of_memory")


def at_limits(lab: Lab, limit: int) -> None:
    total = lab.device.total_bytes
    for way in _WAYS[lab.backend] if not lab.dry else ("RLIMIT_DATA",):
        job = Job(fill, [way, limit, total, 2 * limit], lab.environment, 60.0, way)
        answer = run_job(job)
        lab.data[f"{way}, allocating"] = answer.value or answer.failure
        if answer.failure is not None:
            lab.find(f"{way}: can be set", answer.text, holds=False)
            continue
        reserved = answer.value["counters"]["peak_reserved"] if not lab.dry else 0
        most = max(answer.value["held"], reserved)
        lab.find(f"{way}: MiB held of {limit >> 20}", most >> 20, most <= limit)
        classified(lab, f"{way}, allocating", answer.value["failure"])


def in_training(lab: Lab, limit: int) -> None:
    way = _WAYS[lab.backend][0]
    job = Job(train_too_large, [way, limit, lab.device.total_bytes], lab.environment, 90.0, way)
    answer = run_job(job)
    lab.data["training"] = answer.failure
    classified(lab, "in training", answer.failure)


def crowded(lab: Lab) -> None:
    """Fill the device from another process, all but 2 GiB, and ask for 8 GiB beside it."""
    free = lab.provider.memory(lab.device.uuid).free
    neighbour = Job(keep, [free - 2 * GIB], lab.environment, 90.0, "neighbour")
    with Child(neighbour) as child:
        child.said()
        left = lab.provider.memory(lab.device.uuid).free
        total = lab.device.total_bytes
        job = Job(fill, ["none", total, total, 8 * GIB], lab.environment, 60.0, "crowded")
        answer: Answer = run_job(job)
    lab.data["crowded"] = {"free": left, "answer": answer.value or answer.failure}
    failure = answer.failure or (answer.value or {}).get("failure")
    classified(lab, "device full of another's memory", failure)
    cause = ((failure or {}).get("memory") or {}).get("cause")
    lab.find("device full of another's memory: cause", cause, cause == "foreign")


def main() -> None:
    lab, _ = begin(__doc__)
    limit = GIB // 2 if lab.dry else 2 * GIB
    at_limits(lab, limit)
    in_training(lab, limit)
    if not lab.dry:
        crowded(lab)
    lab.report("several devices; TensorFlow")


if __name__ == "__main__":
    main()
