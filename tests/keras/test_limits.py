"""A worker on the CPU is held to its memory, and tells of each epoch, with a real back end.

The back end is the one that the tests run on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from aiotune.failures import FailureKind, MemoryCause

pytestmark = pytest.mark.keras

# In a process of its own: a limit of the process cannot be raised again, and
# the back end must not have begun before it is set.
WORKER = """
import json, sys
import keras, numpy as np
from aiotune.memory import MemoryLimit
from aiotune.worker._failures import describe_exception
from aiotune.worker._limits import limit_memory
from aiotune.worker._peaks import device_peak, memory_counters

limit_memory(MemoryLimit(bytes=1 << 30, device_total=0), [0, 1])
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(np.ones((32, 8)), np.ones((32, 1)), verbose=0)
failure = None
try:
    large = keras.Sequential([keras.Input((65536,)), keras.layers.Dense(65536)])
    keras.ops.convert_to_numpy(large(np.ones((1, 65536))))
except BaseException as error:
    failure = describe_exception(error, lambda: memory_counters(None))
print(json.dumps({
    "epochs": len(history.history["loss"]),
    "kind": failure and failure.kind,
    "cause": failure and failure.memory and failure.memory.cause,
    "peak": device_peak() is not None,
}))
"""


@pytest.mark.timeout(120)
def test_allocation_beyond_the_limit_fails_cleanly() -> None:
    """A small model trains; one of 16 GiB is an error of the host's memory, not a dead process."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "epochs": 1,
        "kind": FailureKind.OUT_OF_MEMORY,
        "cause": MemoryCause.HOST,
        "peak": False,
    }


class Tuner:
    """As much of a tuner as the reporting callback calls."""

    def overrides(self, name: str) -> bool:
        return False

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        pass

    on_epoch_end = on_epoch_begin


def reporter_to(sent: list[Any], execution: int = 0) -> Any:
    from aiotune.worker._callbacks import ReportEpochs

    context: Any = SimpleNamespace(
        say=sent.append,
        objective=None,
        order=SimpleNamespace(prunable=False),
        asked_to_finish=lambda: None,
    )
    tuner: Any = Tuner()
    trial: Any = None
    return ReportEpochs(
        tuner, trial, context, execution, check_objective=False, max_model_size=None
    )


def test_loop_that_does_not_say_when_it_begins_reports_no_time() -> None:
    """A training loop of the user's own may call nothing but on_epoch_end."""
    sent: list[Any] = []

    reporter_to(sent).on_epoch_end(0, {"loss": 1.0})

    assert [(r.step, r.metrics, r.batches, r.seconds) for r in sent] == [(0, {"loss": 1.0}, 0, 0.0)]


def test_epochs_are_reported_with_their_batches_and_time() -> None:
    """The time of training is told without that of validation, and without a call for each batch."""
    import keras
    import numpy as np

    sent: list[Any] = []
    reporter = reporter_to(sent, execution=3)
    now = iter([10.0, 12.5, 20.0, 23.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "aiotune.worker._callbacks.time", SimpleNamespace(perf_counter=lambda: next(now))
        )
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        x, y = np.ones((20, 4)), np.ones((20, 1))
        model.fit(
            x, y, batch_size=8, epochs=2, verbose=0, validation_data=(x, y), callbacks=[reporter]
        )

    assert [(r.step, r.execution, r.batches, r.seconds, r.peak) for r in sent] == [
        (0, 3, 3, 2.5, None),
        (1, 3, 3, 3.0, None),
    ]
    assert {"on_train_batch_begin", "on_train_batch_end"}.isdisjoint(vars(reporter))
