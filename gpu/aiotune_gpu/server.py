"""The process that asks the driver for another one, which must not wait for it: one question at a time.

A message is one packet of the socket, pickled: ``(number, name, arguments)`` comes in,
``(number, answer, error)`` goes out. Both ends are this package's.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import threading
from collections.abc import Container
from typing import Any

from aiotune_gpu.errors import GpuError
from aiotune_gpu.nvml import NvmlProvider

__all__ = ("LONGEST", "QUESTIONS", "main")

LONGEST = 1 << 20
"""Bytes of the longest message."""
QUESTIONS = frozenset({"count", "at", "memory", "processes", "health", "faults"})
"""What may be asked, besides ``open``: methods of :class:`aiotune_gpu.nvml.NvmlProvider`."""


def main(descriptor: int) -> None:
    """Answer until the other process is gone.

    Args:
        descriptor: A socket that keeps packets apart.
    """
    with socket.socket(fileno=descriptor) as channel:
        threading.Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
        answers = _Answers()
        while packet := channel.recv(LONGEST):
            number, name, arguments = pickle.loads(packet)  # noqa: S301 - our own process wrote it
            channel.send(pickle.dumps((number, *answers.to(name, arguments))))


def _end_with_parent(descriptor: int) -> None:
    """End this process when its parent has, even if a call of the driver does not return."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLRDHUP)
    waiting.poll()
    os._exit(0)


class _Answers:
    def __init__(self) -> None:
        self._provider: NvmlProvider | None = None
        self._skip: Container[int] = ()

    def to(self, name: str, arguments: tuple[Any, ...]) -> tuple[Any, GpuError | None]:
        """Return the answer to a question, or the error."""
        try:
            if name == "open":
                (self._skip,) = arguments
            if self._provider is None:
                self._provider = NvmlProvider(skip=self._skip)
            if name in QUESTIONS:
                return getattr(self._provider, name)(*arguments), None
        except GpuError as error:
            return None, error
        except Exception as error:  # noqa: BLE001 - a bug of a library ends no search
            return None, GpuError(f"Asking the driver raised {type(error).__name__}: {error}.")
        return None, None
