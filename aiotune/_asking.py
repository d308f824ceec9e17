"""Signals by which people, terminals and batch systems ask programs to end."""

from __future__ import annotations

import ctypes
import signal

__all__ = ("ENDS_SEARCHES", "ENDS_WORKERS", "is_left_to_the_system")

ENDS_SEARCHES = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""What ends a program at once if it does nothing about it, and announces a harder end if anything does.

A terminal that is closed sends SIGHUP; batch systems send SIGTERM, or as they are asked SIGUSR1
or SIGUSR2, some time before SIGKILL; SIGXCPU comes before the limit of ``ulimit -t``. Not SIGQUIT, by which
people end what does not end otherwise.
"""
ENDS_WORKERS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1})
"""What of these reaches the workers as well when it is sent to a whole job, and ends them.

SIGUSR2 writes stacks there; SIGXCPU is about the CPU time of that one process.
"""
_libc = ctypes.CDLL(None)
_ACTION = 256
"""Bytes; more than a ``struct sigaction`` has, whose first word is the handler in every libc of Linux."""


def is_left_to_the_system(number: signal.Signals) -> bool:
    """Whether nobody in this process handles or ignores a signal, in Python or in native code.

    Python does not know of handlers that others have installed, such as ``faulthandler.register``.
    """
    action = ctypes.create_string_buffer(_ACTION)
    if signal.getsignal(number) is not signal.SIG_DFL or _libc.sigaction(number, None, action):
        return False
    return ctypes.c_void_p.from_buffer(action).value is None
