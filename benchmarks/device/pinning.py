"""Does a process see the device that it was given, and no other, in whatever way it is named?

Also: does a process that weighs a model, and must see no device, leave any trace on it?
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import _backend
from _children import Child, Job, run_job
from _lab import Lab, begin

_PREFIX = len("GPU-") + 8


def seen() -> list[str]:
    """Return the names of what this process can compute on, after computing there."""
    found = _backend.visible()
    if found:
        _backend.multiply()
    return found


def weigh() -> dict[str, Any]:
    """Weigh a model and trace its step, as a trial's weigher does."""
    import keras

    from aiotune.worker._cpu import on_the_cpu
    from aiotune.worker._input_spec import BatchSpec
    from aiotune.worker._model_size import measure
    from aiotune.worker._tracing import traced_peak
    from aiotune.worker._valueless import Meter, Valueless

    x = keras.KerasTensor((32, 16, 16, 3), "float32")
    y = keras.KerasTensor((32, 1), "float32")
    started = time.perf_counter()
    with on_the_cpu():
        with Valueless(Meter(None, None)):
            model = _backend.small_model(1 << 20)
            size, _ = measure(model, BatchSpec(x, y, None, 32), 32, None, "weighed")
        weighed = time.perf_counter() - started
        traced = traced_peak(lambda: _backend.small_model(64), (x, y), keras.backend.backend())
    return {"parameters": size.parameters, "seconds": weighed, "traced": traced}


def pinned(lab: Lab) -> None:
    uuid = lab.device.uuid
    forms: dict[str, Mapping[str, str]] = {
        "UUID": {"CUDA_VISIBLE_DEVICES": uuid},
        "beginning of the UUID": {"CUDA_VISIBLE_DEVICES": uuid[:_PREFIX]},
        "index": {
            "CUDA_VISIBLE_DEVICES": str(lab.device.index),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        },
        "aiotune writes it": lab.environment,
        "-1": {"CUDA_VISIBLE_DEVICES": "-1"},
        "nothing": {"CUDA_VISIBLE_DEVICES": ""},
        "a UUID that is not there": {"CUDA_VISIBLE_DEVICES": "GPU-ffffffff"},
    }
    for form, environment in forms.items():
        expected = 0 if lab.dry or form in {"-1", "nothing", "a UUID that is not there"} else 1
        answer = run_job(Job(seen, environment=environment, seconds=90.0, label=form))
        count = None if answer.value is None else len(answer.value)
        lab.data[form] = answer.value if answer.failure is None else answer.text
        what = f"devices seen, CUDA_VISIBLE_DEVICES: {form}"
        # Where none is there, a back end may as well raise an error.
        refused = expected == 0 and answer.failure is not None
        lab.find(what, answer.text if count is None else count, refused or count == expected)


def traceless(lab: Lab) -> None:
    """Watch the device while a weigher lives."""
    before, listed = lab.settled(), lab.processes()
    most_used, most_listed = before, listed
    job = Job(weigh, environment={"CUDA_VISIBLE_DEVICES": "-1"}, seconds=60.0)
    with Child(job) as child:
        while not child.readable(0.002):
            most_used = max(most_used, lab.used())
            most_listed = max(most_listed, lab.processes())
        answer = child.answer()
    lab.data["weigher"] = answer.value if answer.failure is None else answer.failure
    lab.find("a weigher without a device weighs", answer.text or "yes", answer.failure is None)
    if not lab.dry:
        lab.find("its processes on the device", most_listed - listed, most_listed == listed)
        growth = most_used - before
        lab.find("its MiB on the device", growth >> 20, growth < 16 << 20)


def main() -> None:
    lab, _ = begin(__doc__)
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # each child is told anew
    pinned(lab)
    traceless(lab)
    lab.report("MIG instances; several devices, where order matters")


if __name__ == "__main__":
    main()
