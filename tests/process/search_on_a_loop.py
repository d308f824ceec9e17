"""A search on a kind of event loop, as a program: interrupted, ended or killed by a test."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from functools import partial
from typing import Any

import aiotune
from aiotune.testing._loops import loop_of_kind


class Waits(aiotune.RandomSearch):
    """Its trials last long, and the second one listens to no signal."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        if trial.trial_id == "1":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(f"trial {trial.trial_id} runs", flush=True)  # noqa: T201 - read by the test
        threading.Event().wait(60)
        return x

    async def on_trial_begin(self, trial: aiotune.Trial) -> None:
        print(f"trial {trial.trial_id} begins", flush=True)  # noqa: T201 - read by the test


def main(kind: str, directory: str) -> None:
    tuner = Waits(
        max_trials=4, directory=directory, project_name="p", max_parallel_trials=2, stop_grace=0.3
    )
    try:
        if kind == "by hand":  # without the handler of Ctrl-C that asyncio.run has
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                loop.run_until_complete(tuner.search(verbose=0))
        with asyncio.Runner(loop_factory=partial(loop_of_kind, kind)) as runner:
            runner.run(tuner.search(verbose=0))
    except KeyboardInterrupt:
        print("interrupted", flush=True)  # noqa: T201 - read by the test
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
