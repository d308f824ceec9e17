"""A process that asks the driver, seen from the one that wants to know."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiotune_gpu.errors import DriverHangs, GpuError
from aiotune_gpu.server import LONGEST

__all__ = ("DriverProcess",)

_BEGIN = (
    "import json, sys; sys.path += json.loads(sys.argv[2]); "
    "from aiotune_gpu.server import main; main(int(sys.argv[1]))"
)
_ANEW = 30.0
"""Seconds after which a process whose question is not answered is given up for a new one."""
_DYING = 1.0
"""Seconds that a killed process may take to end, unless it is in the depths of the driver."""
_undead: list[subprocess.Popen[bytes]] = []
"""Killed, but inside a call that the kernel cannot break off; reaped when they are out of it."""


class DriverProcess:
    """Asks the driver in a process of its own, which is begun by the first question.

    A question that is not answered in time stays open, and the process in it: later ones
    fail at once until it is answered, or until a new process is worth a try. So
    what a driver does slowly, such as waking a GPU that nobody uses, comes to its end.
    Not for two threads at a time.

    Args:
        begin: Seconds that it may take to begin and to open the driver, before its first question.
        skip: Indices of GPUs that are neither listed nor watched for faults.

    Attributes:
        skip: As given.
    """

    def __init__(self, begin: float, skip: Sequence[int] = ()) -> None:
        self.skip = tuple(skip)
        self._beginning = begin
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._number = 0
        self._open_since: float | None = None

    @property
    def pid(self) -> int | None:
        """Its process; ``None`` while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def hangs(self) -> bool:
        """Whether a question is still open, as far as is known."""
        return self._open_since is not None

    def ask(self, within: float, name: str, *arguments: Any) -> Any:
        """Ask a question.

        Args:
            within: Seconds to wait for the answer.
            name: One of :data:`aiotune_gpu.server.QUESTIONS`.
            *arguments: Its arguments.

        Raises:
            DriverHangs: It was not answered in time, or an earlier one still is not.
            GpuError: What the driver answered; or the process has died.
        """
        now = time.monotonic()
        if self._open_since is not None and self._received(0.0) is None:
            waited = now - self._open_since
            if waited < _ANEW:
                raise DriverHangs(f"A call of the driver's has not returned for {waited:.0f} s.")
            self.end()
        self.open()
        return self._answer(within, name, arguments)

    def open(self) -> None:
        """Begin, if there is no process.

        Raises:
            DriverHangs: The driver does not let itself be opened in time.
            GpuError: What the driver answered.
        """
        if self._channel is None:
            self._begin()
            self._answer(self._beginning, "open", (self.skip,))

    def kill(self) -> None:
        """Let a thread that waits in :meth:`ask` have an error at once; for any other thread."""
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> None:
        """End the process, whatever it is doing. One that the kernel cannot end is left behind."""
        channel, process = self._channel, self._process
        self._channel = self._process = self._open_since = None
        if channel is not None:
            channel.close()
        if process is not None:
            process.kill()  # NVML keeps nothing that has to be put in order
            try:
                process.wait(_DYING)
            except subprocess.TimeoutExpired:
                _undead.append(process)

    # ── the channel ────────────────────────────────────────────────────────

    def _begin(self) -> None:
        _undead[:] = [process for process in _undead if process.poll() is None]
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            command = [sys.executable, "-I", "-S", "-c", _BEGIN, str(its.fileno()), _path()]
            try:
                # A session of its own: Ctrl-C is for the program, which still wants answers then.
                # No output of its: who reads this program's waits until all have closed it.
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own code
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                    pass_fds=[its.fileno()],
                )
            except OSError as error:
                mine.close()
                raise GpuError(
                    f"No process could be started to ask the driver: {error}."
                ) from error
        self._channel = mine

    def _answer(self, within: float, name: str, arguments: tuple[Any, ...]) -> Any:
        self._send(name, arguments)
        answer = self._received(within)
        if answer is None:
            raise DriverHangs(
                f"A call of the driver's ({name}) did not return within {within:g} s."
            )
        result, error = answer
        if error is not None:
            raise error
        return result

    def _send(self, name: str, arguments: tuple[Any, ...]) -> None:
        assert self._channel is not None
        self._number += 1
        self._open_since = time.monotonic()
        try:
            self._channel.send(pickle.dumps((self._number, name, arguments)))
        except OSError as error:
            raise self._died() from error

    def _received(self, seconds: float) -> tuple[Any, GpuError | None] | None:
        """Return the answer to the last question, or ``None`` if there is none yet."""
        assert self._channel is not None
        self._channel.settimeout(seconds or 1e-6)  # 0 would be another mode, with other errors
        try:
            packet = self._channel.recv(LONGEST)
        except TimeoutError:
            return None
        except OSError as error:
            raise self._died() from error
        if not packet:
            raise self._died()
        number, result, failed = pickle.loads(packet)  # noqa: S301 - our own process wrote it
        assert number == self._number, "one question at a time"
        self._open_since = None
        return result, failed

    def _died(self) -> GpuError:
        process = self._process
        self.end()
        code = process.returncode if process is not None else None
        return GpuError(f"The process that asks the driver has died (exit status {code}).")


def _path() -> str:
    """Return where the process finds this package and ``pynvml``, behind the standard library."""
    own = Path(__file__).resolve().parent.parent
    return json.dumps([str(own), *(os.path.abspath(entry) for entry in sys.path)])  # noqa: PTH100 - "" is the working directory
