"""Searches where the kernel refuses pidfd_open(2), as an old one does, and an old sandbox.

::

    search_without_pidfds.py DIRECTORY ERRNO
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
import sys

import aiotune

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_PIDFD_OPEN = 434  # on every architecture


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def refuse_pidfds(number: int) -> None:
    """Have the kernel answer pidfd_open with an error in this process and in all that it starts."""
    code = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD_WORD, 0, 0, 0),  # the number of the call
            (_JUMP_IF_EQUAL, 0, 1, _PIDFD_OPEN),
            (_RETURN, 0, 0, _ERROR | number),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(4, code)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _FILTER, ctypes.byref(program)
    ):
        sys.exit(77)


class _Tuner(aiotune.BaseTuner):
    def run_trial(self, trial: aiotune.Trial) -> float:
        return float(trial.hyperparameters.Int("x", 0, 9))


async def main(directory: str, executor: aiotune.base_tuner.ExecutorChoice) -> None:
    """Search."""
    tuner = _Tuner(
        aiotune.oracles.RandomSearchOracle(
            objective=aiotune.Objective("default_objective", "min"), max_trials=2
        ),
        directory=directory,
        project_name=executor,
        executor=executor,
    )
    print(len((await tuner.search(verbose=0)).trials), flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    refuse_pidfds(int(sys.argv[2]))
    asyncio.run(main(sys.argv[1], "inline"))
    asyncio.run(main(sys.argv[1], "local"))
