"""Builds every model of the zoo for real and weighs it; prints both as JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any

import keras  # noqa: TID253 - a program of its own

import aiotune
from aiotune.wire import Payload, RunWeighing, Weighed
from aiotune.worker._weighing import run_weighing

if TYPE_CHECKING:
    from tests.keras.zoo import ZOO, Specimen
else:  # they lie beside this program
    import zoo_of_training  # noqa: F401 - it adds its models
    from zoo import ZOO, Specimen

ORDER = RunWeighing(
    trial_id="0",
    index=0,
    seed=7,
    stream=0,
    space={"space": [], "values": {}},
    objective=[{"name": "val_loss", "direction": "min"}],
    budget={},
    environment={},
    threads=0,
    precise=False,
)


def held(variables: list[Any]) -> int:
    return sum(int(keras.ops.convert_to_numpy(v).nbytes) for v in variables)


def count(variables: list[Any]) -> int:
    return sum(math.prod(v.shape) for v in variables)


def built(specimen: Specimen) -> dict[str, Any]:
    model = specimen.build()
    if specimen.callable:
        model(specimen.x)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        optimizer.build(model.trainable_variables)
    return {
        "method": "weighed",
        "parameters": model.count_params(),
        "trainable_parameters": count(model.trainable_weights),
        "weight_bytes": held(model.variables),
        "gradient_bytes": held(model.trainable_variables),
        "slot_bytes": held(optimizer.variables) if optimizer is not None else 0,
        "has_activations": specimen.callable,
        "batch_size": 4,
    }


def weighed(specimen: Specimen) -> dict[str, Any]:
    tuner = aiotune.RandomSearch(lambda hp: specimen.build(), "val_loss", max_trials=1)
    payload = Payload(tuner, (specimen.x, specimen.y), {"batch_size": 4})
    answer = run_weighing(ORDER, payload)
    if not isinstance(answer, Weighed) or answer.size is None:
        return {"method": str(answer)}
    size = answer.size
    assert sum(size.bytes_by_dtype.values()) == size.weight_bytes
    assert (size.activation_bytes > 0) is size.has_activations, answer.why
    return {name: getattr(size, name) for name in built_names}


built_names = (
    "method",
    "parameters",
    "trainable_parameters",
    "weight_bytes",
    "gradient_bytes",
    "slot_bytes",
    "has_activations",
    "batch_size",
)

if __name__ == "__main__":
    animals = {
        name: specimen
        for name, specimen in ZOO.items()
        if keras.backend.backend() not in specimen.not_on and name in (sys.argv[1:] or ZOO)
    }
    print(  # noqa: T201 - read by the test
        json.dumps(
            {
                "built": {name: built(specimen) for name, specimen in animals.items()},
                "weighed": {name: weighed(specimen) for name, specimen in animals.items()},
            }
        )
    )
    sys.stdout.flush()
    os._exit(0)  # a back end's exit handlers take seconds
