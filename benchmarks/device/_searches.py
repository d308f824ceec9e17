"""Searches of aiotune over small models on the measured device, and what their journals tell."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from _lab import Lab

import aiotune
from aiotune.events import AttemptEnded, AttemptStarted, Event
from aiotune.failures import FailureKind
from aiotune.store import Layout, read_events

__all__ = ("Arm", "Workload", "run_arm")


@dataclass(frozen=True, slots=True)
class Workload:
    """The models of a search: dense networks.

    Attributes:
        features: Of the inputs, and of the outputs.
        least: Units of the narrowest hidden layers.
        most: Of the widest.
        step: Between them.
        samples: In an epoch.
        epochs: Of each trial.
    """

    features: int = 64
    least: int = 64
    most: int = 512
    step: int = 64
    samples: int = 4096
    epochs: int = 10

    def build(self, hp: aiotune.HyperParameters) -> Any:
        """Return a compiled model."""
        import keras

        units = hp.Int("units", self.least, self.most, step=self.step)
        hidden = [keras.layers.Dense(units, activation="relu") for _ in range(3)]
        model = keras.Sequential(
            [keras.Input((self.features,)), *hidden, keras.layers.Dense(self.features)]
        )
        rate = hp.Float("rate", 1e-4, 1e-3, sampling="log")
        model.compile(keras.optimizers.Adam(rate), "mse")
        return model


@dataclass(frozen=True, slots=True)
class Arm:
    """What one search did.

    Attributes:
        at_once: How many trials could share the device.
        seconds: From the first attempt's start to the last one's end.
        statuses: Of the trials, in order.
        attempts: How many there were.
        out_of_memory: How many of them ran out of memory.
        most_together: How many attempts ran at the same time, at most.
        most_used: Bytes in use on the device, at most, beyond those before.
        beyond: Bytes by which an attempt exceeded what it was given, at most;
            ``None`` if no attempt told its peak.
        failures: What went wrong, as data.
    """

    at_once: int
    seconds: float
    statuses: list[str]
    attempts: int
    out_of_memory: int
    most_together: int
    most_used: int
    beyond: int | None
    failures: list[dict[str, Any]]

    @property
    def per_hour(self) -> float:
        """Completed trials in an hour."""
        return 3600 * self.statuses.count("COMPLETED") / self.seconds


def run_arm(lab: Lab, load: Workload, trials: int, at_once: int) -> Arm:
    """Search with so many trials on the device at once."""
    before = lab.settled()
    with tempfile.TemporaryDirectory() as directory, _Watch(lab) as watch:
        tuner = aiotune.RandomSearch(
            load.build,
            objective="loss",
            max_trials=trials,
            seed=0,
            directory=directory,
            project_name="arm",
            max_parallel_trials=at_once,
            max_consecutive_failed_trials=None,
            devices=[] if lab.dry else [lab.device.uuid],
            max_trials_per_gpu=at_once,
        )
        rng = np.random.default_rng(0)
        x = rng.random((load.samples, load.features), "float32")
        result = asyncio.run(tuner.search(x, x, batch_size=64, epochs=load.epochs, verbose=0))
        events = read_events(Layout(Path(directory), "arm"))
    statuses = [str(trial.status) for trial in result.trials]
    return _arm(at_once, statuses, events, watch.most - before)


def _arm(at_once: int, statuses: list[str], events: Sequence[Event], most_used: int) -> Arm:
    started = [event for event in events if isinstance(event, AttemptStarted)]
    ended = [event for event in events if isinstance(event, AttemptEnded)]
    given = {event.attempt_id: event.reservation for event in started}
    failures = [event.failure for event in ended if event.failure is not None]
    beyond = [e.peak.reserved - given[e.attempt_id] for e in ended if e.peak is not None]
    return Arm(
        at_once=at_once,
        seconds=max(e.at for e in ended) - min(e.at for e in started),
        statuses=statuses,
        attempts=len(started),
        out_of_memory=sum(f.kind is FailureKind.OUT_OF_MEMORY for f in failures),
        most_together=_most_together(events),
        most_used=most_used,
        beyond=max(beyond, default=None),
        failures=[
            {"kind": f.kind, "type": f.type, "message": f.message[:500], "memory": str(f.memory)}
            for f in failures[:10]
        ],
    )


def _most_together(events: Sequence[Event]) -> int:
    now = most = 0
    for event in events:
        now += isinstance(event, AttemptStarted) - isinstance(event, AttemptEnded)
        most = max(most, now)
    return most


class _Watch:
    """Reads the device's memory from a thread, for as long as it is entered."""

    def __init__(self, lab: Lab) -> None:
        self.most = 0
        self._lab, self._over = lab, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            self.most = max(self.most, self._lab.used())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
