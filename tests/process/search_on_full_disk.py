"""A search whose disk is full for a while in its middle; prints what became of it as JSON.

Arguments: the disk's directory, how many seconds it is full, and ``plain`` or ``keras``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import structlog

import aiotune

DISK, SECONDS, KIND = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
BALLAST = DISK / "somebody_elses"
SEEN: list[str] = []  # events of the log; a lock could not travel with the tuner


def fill() -> None:
    """Leave not a byte, then give it all back after a while."""
    fd = os.open(BALLAST, os.O_WRONLY | os.O_CREAT)
    for size in (1 << 20, 4096, 1):
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, b"x" * size)
    os.close(fd)
    threading.Thread(target=empty, daemon=True).start()


def empty() -> None:
    """Give the space back, once a training has met the full disk and enough time has passed."""
    while KIND == "keras" and "trial_waits" not in SEEN:
        threading.Event().wait(0.1)
    threading.Event().wait(SECONDS)
    BALLAST.unlink()


def listen(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """Notice that a training waits: the log's own file is on the full disk."""
    SEEN.append(event["event"])
    return str(event["event"])


structlog.configure(processors=[listen], logger_factory=structlog.ReturnLoggerFactory())


class Keeping:
    """Fills the disk when the second trial has ended, and keeps a state of its own."""

    ended = 0

    def get_state(self) -> dict[str, Any]:
        return {"ended": self.ended}

    def on_trial_end(self, trial: aiotune.Trial) -> None:
        self.ended += 1
        if self.ended == 2:
            fill()


class Plain(Keeping, aiotune.RandomSearch):
    def run_trial(self, trial: aiotune.Trial, **kwargs: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        for _ in range(200):
            sys.stdout.write(f"as much output as a progress bar makes {x}\n")
        return x


def build(hp: aiotune.HyperParameters) -> Any:
    import keras

    units = hp.Choice("units", [100, 110, 120, 130, 140, 150])
    model = keras.Sequential([keras.layers.Dense(units), keras.layers.Dense(1000)])
    model.compile("adam", "mse")
    return model


def searches() -> Iterator[tuple[aiotune.BaseTuner, dict[str, Any]]]:
    given: dict[str, Any] = {
        "max_trials": 5, "seed": 3, "directory": DISK, "project_name": "p",
        "max_parallel_trials": 2, "max_retries_per_trial": 0,
    }  # fmt: skip
    if KIND == "plain":
        yield Plain(**given), {}
        return
    import numpy as np

    class Models(Keeping, aiotune.RandomSearch):
        pass

    x = np.zeros((32, 100), dtype="float32")
    tuner = Models(build, "loss", **given, resume_every=0, weigh=False)
    yield tuner, {"x": x, "y": np.zeros((32, 1000), dtype="float32"), "epochs": 3}


for tuner, data in searches():
    result = asyncio.run(tuner.search(**data))
    log = [json.loads(line) for line in (DISK / "p" / "events.log").read_text().splitlines()]
    folders = {t.trial_id: tuner.get_trial_dir(t.trial_id) for t in result.trials}
    sys.stdout.write(
        json.dumps(
            {
                "statuses": [str(t.status) for t in result.trials],
                "attempts": [t.attempts for t in result.trials],
                "failures": [t.failure.summary() for t in result.trials if t.failure],
                "scores": [t.score is not None for t in result.trials],
                "files": [sorted(t.files) for t in result.trials],
                "left": [sorted(p.name for p in folder.iterdir()) for folder in folders.values()],
                "state": json.loads((DISK / "p" / "tuner0.json").read_text()),
                "events": sorted({line["event"] for line in log}),
            }
        )
    )
