"""SIGTERM stops a search in order."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

__all__ = ("on_sigterm",)


class on_sigterm:  # noqa: N801 - reads as what it is, a context
    """Within it SIGTERM stops the search in order, if nobody else handles it."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._installed = False

    def __enter__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
            self._installed = True

    def __exit__(self, *exc: object) -> None:
        if self._installed:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
