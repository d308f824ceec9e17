"""How many trials a second end in a terminal that nobody reads any more, against one that is read?

Both run in one call, in turn: a pseudo terminal whose reader goes on reading, and one whose reader
stops a few seconds after the first trial has ended, like a sleeping ssh or Ctrl-S. Trials are counted
in the same window after that. Then the search is sent SIGINT, and it is measured how soon it has ended.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

from _report import report, summary
from noop_trials import Noop

import aiotune

_ENDLESS = 1_000_000
_READ_FOR = 3.0
"""Seconds that the terminal is read in both runs, from the first trial's end on."""
_FILLING = 6.0
"""Seconds after which an unread terminal takes no more, counted from where its reader stops."""
_LAST_WAIT = 20.0
"""Seconds that a search may take to end before it is killed."""


class Counted(Noop):
    """Writes the moment of each trial's end to a file."""

    def on_trial_end(self, trial: aiotune.Trial) -> None:
        with Path(sys.argv[2], "ends").open("a") as file:
            file.write(f"{time.monotonic()}\n")


class Inline(Counted):
    """A trial that takes a tenth of a second and little CPU, so that the machine's load matters less."""

    async def run_trial(  # type: ignore[override]
        self, trial: aiotune.Trial, *args: Any, **kwargs: Any
    ) -> float:
        await asyncio.sleep(0.1)
        return super().run_trial(trial, *args, **kwargs)


_CASES: dict[str, tuple[type[Counted], str, int]] = {
    "inline": (Inline, "inline", 8),
    "processes": (Counted, "local", 2),
}
"""Each with its executor, and how many run at once."""


def search(directory: str, case: str) -> None:
    """Search until Ctrl-C, also where the shell has this program ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind, executor, parallel = _CASES[case]
    tuner = kind(
        max_trials=_ENDLESS,
        seed=0,
        directory=directory,
        project_name="p",
        max_parallel_trials=parallel,
        executor=executor,
        stop_grace=1.0,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(tuner.search())


class Reader(threading.Thread):
    """Reads a terminal until it is told to stop."""

    def __init__(self, terminal: int) -> None:
        super().__init__(daemon=True)
        self._terminal, self.stopped = terminal, threading.Event()
        self.bytes = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            if select.select([self._terminal], [], [], 0.05)[0]:
                try:
                    data = os.read(self._terminal, 1 << 16)
                except OSError:  # nobody has the other end
                    return
                self.bytes += len(data)


def ends(directory: str) -> list[float]:
    """Return when trials ended."""
    path = Path(directory, "ends")
    return [float(line) for line in path.read_text().split()] if path.exists() else []


def rate(case: str, seconds: float, *, read: bool) -> dict[str, float]:
    """Return trials per second in the window, and the seconds from SIGINT until the program's end."""
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        program = subprocess.Popen(
            [sys.executable, __file__, "--search", directory, case],
            start_new_session=True,  # or the terminal's own job control might stop it
            stdin=other,
            stdout=other,
            # The interpreter's own traceback would wait for its reader.
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"},
        )
        os.close(other)
        reader = Reader(terminal)
        reader.start()
        try:
            while not ends(directory):
                time.sleep(0.05)  # noqa: TID251 - waits for another process
            time.sleep(_READ_FOR)  # noqa: TID251
            if not read:
                reader.stopped.set()
            time.sleep(_FILLING)  # noqa: TID251
            first = time.monotonic()
            time.sleep(seconds)  # noqa: TID251
            counted = sum(first <= end < first + seconds for end in ends(directory))
            program.send_signal(signal.SIGINT)
            asked = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(_LAST_WAIT)
            ended = time.monotonic() - asked
        finally:
            program.kill()
            program.wait()
            reader.stopped.set()
            reader.join()
            os.close(terminal)
    return {"rate": counted / seconds, "end": ended}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5, help="pairs of runs")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="the window in which trials are counted"
    )
    parser.add_argument("--search", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        search(*options.search)
        return
    results = {case: compared(case, options.n, options.seconds) for case in _CASES}
    report(__doc__ or "", results, not_measured="trials that train; real terminals and ssh")


def compared(case: str, n: int, seconds: float) -> dict[str, Any]:
    """Run some pairs, and summarise them."""
    unread: list[dict[str, float]] = []
    read: list[dict[str, float]] = []
    for pair in range(n):
        for is_read in (pair % 2 == 0, pair % 2 != 0):
            (read if is_read else unread).append(rate(case, seconds, read=is_read))
    ratios = [u["rate"] / r["rate"] for u, r in zip(unread, read, strict=True)]
    return {
        "read": summary([run["rate"] for run in read], "trials/s"),
        "unread": summary([run["rate"] for run in unread], "trials/s"),
        "unread / read, pair by pair": summary(ratios, "1"),
        "unread / read, of the medians": round(
            statistics.median(run["rate"] for run in unread)
            / statistics.median(run["rate"] for run in read),
            4,
        ),
        "SIGINT until the program has ended, read": summary([run["end"] for run in read], "s"),
        "SIGINT until the program has ended, unread": summary([run["end"] for run in unread], "s"),
    }


if __name__ == "__main__":
    main()
