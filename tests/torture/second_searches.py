"""Runs searches on a project that another process holds, and many at once on one that nobody holds."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiotune
import aiotune._search  # what a search imports is imported before the fork
from aiotune.errors import ProjectLocked

__all__ = ("main",)


class Holding(aiotune.RandomSearch):
    """Its only trial says that it runs, and goes on until a pipe is closed."""

    say, until = -1, -1

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        os.write(self.say, b"holds\n")
        os.read(self.until, 1)
        return float(trial.hyperparameters.Float("x", 0.0, 1.0))


def _fork(directory: Path, gate: int, until: int, closed: tuple[int, ...]) -> tuple[int, int]:
    """Start a search that begins when ``gate`` is closed; return its pid and what it says."""
    reading, say = os.pipe()
    pid = os.fork()
    if pid:
        os.close(say)
        return pid, reading
    try:
        for fd in (*closed, reading):
            os.close(fd)
        os.read(gate, 1)
        tuner = Holding(
            max_trials=1, seed=0, directory=directory, project_name="p", executor="inline"
        )
        tuner.say, tuner.until = say, until
        asyncio.run(tuner.search(verbose=0))
    except ProjectLocked as error:
        os.write(say, f"refused: {error}\n".encode())
    except BaseException as error:  # noqa: BLE001 - told to the parent, which counts it as neither
        os.write(say, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(0)


def _said(reading: int) -> str:
    text = b""
    while not text.endswith(b"\n"):
        more = os.read(reading, 1 << 16)
        if not more:
            break
        text += more
    os.close(reading)
    return text.decode()


def _refused_by(pid: int, text: str) -> bool:
    who = rf"pid {pid} on {re.escape(socket.gethostname())}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
    return re.search(rf"refused: Another search holds the project .*\({who}\)", text) is not None


def _one_after_the_other(directory: Path, number: int) -> dict[str, int]:
    gate, until = os.pipe(), os.pipe()
    os.close(gate[1])
    holder, saying = _fork(directory, gate[0], until[0], (until[1],))
    figures = Counter({"searches": number, "held": _said(saying) == "holds\n"})
    for _ in range(number):
        pid, saying = _fork(directory, gate[0], until[0], (until[1],))
        figures["refused_by_name"] += _refused_by(holder, _said(saying))
        os.waitpid(pid, 0)
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    for fd in (gate[0], *until):
        os.close(fd)
    return dict(figures)


def _all_at_once(directory: Path, number: int) -> dict[str, int]:
    gate, until = os.pipe(), os.pipe()
    forked = [_fork(directory, gate[0], until[0], (gate[1], until[1])) for _ in range(number)]
    os.close(gate[1])  # they all begin
    said = [_said(reading) for _, reading in forked]
    os.close(until[1])  # the one that holds the project may end
    for pid, _ in forked:
        os.waitpid(pid, 0)
    os.close(gate[0])
    os.close(until[0])
    refused = sum(text.startswith("refused: Another search holds the project") for text in said)
    return {"searches": number, "held": said.count("holds\n"), "refused": refused}


def main() -> None:
    """Print how many of so many searches were refused, as one JSON object."""
    directory, number = Path(sys.argv[1]), int(sys.argv[2])
    one = _one_after_the_other(directory, number)
    print(json.dumps({"second": one, "racing": _all_at_once(directory / "race", number)}))  # noqa: T201 - output


if __name__ == "__main__":
    main()
