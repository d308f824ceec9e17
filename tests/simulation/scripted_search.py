"""Plays scripts with real processes, side by side: ``scripted_search.py DIRECTORY SCRIPT...``.

Prints, as JSON, how each life of each script's tuner ended. A life is a process that is
forked from one which has only imported aiotune: so its start takes no time.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import aiotune
import aiotune._search  # what a search imports is imported before the fork
from aiotune.errors import OversizedModelError
from aiotune.testing.simulator._faults import Fault
from aiotune.testing.simulator._program import make_oracle
from aiotune.testing.simulator._script import SCRIPTS, Script, when_reported
from aiotune.testing.simulator._training import HOPELESS_LOSS, NASTY_TEXT
from aiotune.trial import without_control

SIGNALS = {
    "SEGFAULT": signal.SIGSEGV,
    "ABORT": signal.SIGABRT,
    "BUS_ERROR": signal.SIGBUS,
    "KILLED": signal.SIGKILL,
    "TERMINATED": signal.SIGTERM,
}
ERRORS: dict[str, Callable[[], Exception]] = {
    "RAISES": partial(ValueError, "simulated"),
    "RAISES_NASTY_TEXT": partial(ValueError, NASTY_TEXT),
    "FAILED_TRIAL": partial(aiotune.FailedTrialError, "not this one"),
    "OVERSIZED": partial(OversizedModelError, "far too many parameters"),
    "FATAL": partial(aiotune.FatalError, "all is lost"),
    "MEMORY_ERROR": partial(MemoryError, "no room"),
}
HOPELESS = HOPELESS_LOSS


class Scripted(aiotune.BaseTuner):
    """Does in each attempt what the script says, by the names of faults."""

    def run_trial(self, trial: aiotune.Trial, script: dict[str, Any]) -> Any:
        from aiotune.worker._context import current_attempt

        assert trial.index is not None
        acts = script["acts"].get(trial.index, ())
        act = acts[trial.attempts - 1] if trial.attempts <= len(acts) else ""
        if script["discovers"]:
            trial.hyperparameters.Float("late", 0.0, 1.0)
            context = current_attempt.get()
            assert context is not None
            context.announce()
        return Program(self.oracle, trial, act, script["epochs"]).run()


class Program:
    """What one attempt does."""

    def __init__(self, oracle: Any, trial: aiotune.Trial, act: str, epochs: int) -> None:
        self.oracle, self.trial, self.act = oracle, trial, act
        first = int(trial.budget.get("initial_epoch", 0))
        self.steps = range(first, int(trial.budget.get("epochs", first + epochs)))
        # The same score as in the simulated world, written a second time.
        values = ("score", sorted(without_control(trial.hyperparameters.values).items()))
        luck = random.Random(f"0/{values!r}").random()
        self.score = round(luck + 1.0 / (1 + self.steps.stop), 9)

    def run(self) -> Any:
        if self.act == "HOPELESS":
            return self.hope()
        breaks = self.act in SIGNALS or self.act in ERRORS
        breaks = breaks or self.act in {"SYS_EXIT", "EXIT_WITHOUT_RESULT", "BAD_RESULT"}
        hangs = self.act in {"HANGS", "HANGS_DEAF", "SPINS"}
        self.train(self.steps[: len(self.steps) // 2] if breaks or hangs else self.steps)
        if hangs:
            self.hang()
        if breaks:
            return self.break_down()
        self.prepare_the_end()
        wrong = {"NOT_A_NUMBER": math.nan, "INFINITE": math.inf}
        metrics = {"loss": wrong.get(self.act, self.score)}
        if self.act == "MANY_METRICS":
            metrics |= {f"metric_{n}": n / 7 for n in range(300)}
        return metrics

    def train(self, steps: range) -> None:
        if self.act == "SILENT":
            return
        for step in steps:
            self.report(step, self.score + 1.0 / (1 + step))

    def report(self, step: int, loss: float) -> str | None:
        for _ in range(1 + (self.act == "REPORT_TWICE")):
            told = self.oracle.update_trial(self.trial.trial_id, {"loss": loss}, step=step)
        reason: str | None = told.stop_reason
        return reason

    def hope(self) -> Any:
        """Report one epoch, and train on it until it is said that there is no hope."""
        from aiotune.worker._context import current_attempt

        reason = self.report(0, HOPELESS)
        context = current_attempt.get()
        assert context is not None
        while reason is None:
            reason = context.asked_to_finish()
        return {"loss": HOPELESS}

    def hang(self) -> None:
        if self.act == "HANGS_DEAF":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            if self.act != "SPINS":
                signal.pause()

    def break_down(self) -> Any:
        if self.act in ERRORS:
            error = ERRORS[self.act]()
            raise error
        if self.act in SIGNALS:
            if self.act != "KILLED":
                signal.signal(SIGNALS[self.act], signal.SIG_DFL)
            os.kill(os.getpid(), SIGNALS[self.act])
        if self.act == "SYS_EXIT":
            sys.exit(3)
        if self.act == "EXIT_WITHOUT_RESULT":
            sys.exit(0)
        return "no number"

    def prepare_the_end(self) -> None:
        """Let something happen when the result has been written down, or sent."""
        from aiotune.worker import _session

        if self.act == "LEAVES_CHILDREN":
            subprocess.Popen(["sleep", "60"], start_new_session=True)
        elif self.act == "RESULT_NOT_SENT":
            after(_session, "write_result", lambda: os.kill(os.getpid(), signal.SIGKILL))
        elif self.act == "CHANNEL_CLOSED":
            os.close(channel())
        elif self.act == "GARBAGE":
            after(_session, "write_result", lambda: os.write(channel(), b"\x00\x00\x00\x03abc"))
        elif self.act == "DIES_AFTER_RESULT":
            sys.stdout = Deadly()


class Deadly:
    """A stream whose last flush is the end."""

    def flush(self) -> None:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)


def after(module: Any, name: str, then: Callable[[], object]) -> None:
    function = vars(module)[name]

    def longer(*args: Any) -> None:
        function(*args)
        then()

    setattr(module, name, longer)


def channel() -> int:
    """Return the descriptor of the worker's line to the tuner, the only socket that it has."""
    sockets = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            if str(link.readlink()).startswith("socket:"):
                sockets.append(int(link.name))
        except FileNotFoundError:
            continue  # the listing's own
    (found,) = sockets
    return found


def suffer(fault: Fault) -> None:
    numbers = {
        Fault.TUNER_KILLED: signal.SIGKILL,
        Fault.INTERRUPTED: signal.SIGINT,
        Fault.SIGTERM: signal.SIGTERM,
    }
    os.kill(os.getpid(), numbers[fault])


async def play(directory: str, script: Script, life: int) -> str:
    setup = script.setup
    oracle = make_oracle(setup, 0)
    for interruption in script.lives[life]:
        when_reported(oracle, interruption.after, partial(suffer, interruption.fault))
    tuner = Scripted(
        oracle,
        directory=directory,
        project_name="simulated",
        max_parallel_trials=setup.slots,
        devices=[],
        trial_timeout=setup.timeout,
        stall_warn=setup.stall_warn,
        stall_timeout=setup.stall,
        stop_grace=0.3,
    )
    acts = {index: [fault.name for fault in faults] for index, faults in script.acts.items()}
    told = {"acts": acts, "epochs": setup.epochs, "discovers": setup.discovers}
    try:
        await tuner.search(told, verbose=0)
    except (aiotune.FatalError, aiotune.AiotuneError) as error:
        return type(error).__name__
    return "finished"


def live(directory: str, name: str, life: int) -> NoReturn:
    """Play one life of a script in this process, and end it as a program would end."""
    code = 1
    try:
        code = CODES[asyncio.run(play(directory, SCRIPTS[name], life))]
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - told by whoever waits for this process
        traceback.print_exc()
    finally:
        os._exit(code)


CODES = {"finished": 0, "FatalTypeError": 10, "FatalError": 11, "SearchAborted": 12}
ENDS = {code: end for end, code in CODES.items()} | {
    -signal.SIGINT: "cancelled",
    -signal.SIGTERM: "cancelled",
    -signal.SIGKILL: "killed",
}


def main(directory: str, *names: str) -> None:
    ends: dict[str, list[str]] = {name: [] for name in names}
    running: dict[int, str] = {}

    def begin(name: str) -> None:
        life = len(ends[name])
        if life < len(SCRIPTS[name].lives):
            pid = os.fork() or live(f"{directory}/{name.replace(' ', '-')}", name, life)
            running[pid] = name

    for name in names:
        begin(name)
    while running:
        pid, status = os.wait()
        name = running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        ends[name].append(ENDS.get(code, f"exit code {code}"))
        begin(name)
    print(json.dumps(ends))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(*sys.argv[1:])
