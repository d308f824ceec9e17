"""How a process begins that imports ahead of need, and how it begins anew without what it should not have imported."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from aiotune.worker._launch import LEFT_OUT, interpreter
from aiotune.worker._started import started_backends

__all__ = ("Beginning",)


class Beginning:
    """Remembers how this process was started, to be made before it has changed anything.

    Args:
        words: Its command line, without the modules.
        left_out: Modules that it does not import, and why.

    Attributes:
        in_use: What was started before anything was imported, by a ``sitecustomize`` say.
    """

    def __init__(self, words: Sequence[str], left_out: Mapping[str, str]) -> None:
        self._words, self._left_out = list(words), dict(left_out)
        self._environment = dict(os.environ)
        self.in_use = started_backends()

    def check(self, name: str, modules: Iterable[str]) -> None:
        """Begin anew without a module, if its import has started a back end.

        Args:
            name: The module that was imported just now.
            modules: All that are to be imported.
        """
        started = started_backends() - self.in_use
        if started:
            self._left_out[name] = ", ".join(sorted(started))
            self._anew([other for other in modules if other != name])

    def _anew(self, modules: list[str]) -> NoReturn:
        # No thread, no context of a driver and no descriptor of theirs outlives this; what was inherited does.
        left_out = [f"{name}={reason}" for name, reason in self._left_out.items()]
        words = [*self._words, *modules, LEFT_OUT, *left_out]
        argv, environment = interpreter(words, self._environment)
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until stacks can be dumped again
        os.execve(argv[0], argv, environment)  # noqa: S606 - no shell is the point
