"""A notebook without a browser: a real kernel, cells, and the button "Interrupt"."""

from __future__ import annotations

import asyncio
import queue
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import zmq
from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_event_loop

__all__ = ("Cell", "Kernel")

_DEADLINE = 60.0  # seconds; what needs it has failed
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(slots=True)
class Cell:
    """What a cell put out.

    Attributes:
        outputs: ``(when, text)`` of each piece, in order; ``when`` as ``time.monotonic()``.
        html: What was shown as HTML.
        error: The class's name and the message of the exception that ended it; ``None``: none did.
        traceback: As the notebook shows it, without colours.
    """

    outputs: list[tuple[float, str]] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    error: tuple[str, str] | None = None
    traceback: str = ""

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(text for _, text in self.outputs)

    def when(self, text: str) -> float:
        """Return the moment at which a text was printed."""
        return next(when for when, printed in self.outputs if text in printed)


class Kernel:
    """A kernel of IPython in a process of its own; a context.

    Args:
        directory: Where it works.
        **environment: Variables that it gets in place of this process's.
    """

    def __init__(self, directory: Path, **environment: str) -> None:
        # A context of its own, since closing it is the only way to close all of its sockets.
        self._zmq = zmq.Context()
        self._manager = KernelManager(kernel_name="python3", context=self._zmq)
        self.directory, self._environment = directory, environment

    def __enter__(self) -> Self:
        self._manager.start_kernel(cwd=str(self.directory), env=self._environment)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_DEADLINE)
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        self._zmq.destroy(linger=0)
        # Each of the calls above was a coroutine, run on a loop that Jupyter would keep.
        ensure_event_loop().close()
        asyncio.set_event_loop(None)

    @property
    def pid(self) -> int:
        """The kernel's process."""
        found: int = vars(self._manager.provisioner)["pid"]
        return found

    def interrupt(self) -> None:
        """Press "Interrupt"."""
        self._manager.interrupt_kernel()

    def run(self, code: str, *, watch: Callable[[Cell], None] = lambda _: None) -> Cell:
        """Run a cell to its end.

        Args:
            code: The cell.
            watch: Called after each of its outputs.

        Raises:
            TimeoutError: It does not end.
        """
        request, cell = self._client.execute(code), Cell()
        deadline = time.monotonic() + _DEADLINE
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=deadline - time.monotonic())
            except (queue.Empty, ValueError) as error:
                raise TimeoutError(f"The cell did not end; it said: {cell.text}") from error
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["content"].get("execution_state") == "idle":
                return cell
            _take(cell, message["msg_type"], message["content"])
            watch(cell)


def _take(cell: Cell, kind: str, content: dict[str, Any]) -> None:
    match kind:
        case "stream":
            cell.outputs.append((time.monotonic(), content["text"]))
        case "error":
            cell.error = content["ename"], content["evalue"]
            cell.traceback = _COLOURS.sub("", "\n".join(content["traceback"]))
        case "execute_result" | "display_data":
            cell.html.append(content["data"].get("text/html", ""))
        case _:
            pass  # what the cell was, and that it runs
