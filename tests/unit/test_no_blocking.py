"""The check that every test is held to: aiotune's own code must not block an event loop."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from blockbuster import BlockingError

import aiotune
from aiotune.testing import VirtualTimeLoop

HOME = Path(aiotune.__file__).parent


def ours(
    call: str, file: str = "scheduler/_made_up.py", function: str = "step"
) -> Callable[..., Any]:
    """Return a function as if it stood in a file of aiotune."""
    code = f"def {function}(path):\n    return {call}"
    names: dict[str, Any] = {"io": io, "os": os, "subprocess": subprocess, "threading": threading}
    names["time"] = time
    exec(compile(code, str(HOME / file), "exec"), names)
    made: Callable[..., Any] = names[function]
    return made


BLOCKING = {
    "sleep": "time.sleep(0)",
    "join": "threading.Event().wait(0.01)",
    "sync": "os.fsync(0)",
    "open": "open(path)",
    "read": "path.read_bytes()",
    "write": "path.write_text('x')",
    "remove": "os.unlink(path)",
    "rename": "path.rename(path)",
    "list": "os.listdir(path.parent)",
    "start": "subprocess.Popen(['true'])",
    "wait": "os.waitpid(-1, os.WNOHANG)",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file."""
    made = tmp_path / "file"
    made.write_text("x")
    return made


@pytest.mark.parametrize("call", BLOCKING.values(), ids=BLOCKING)
async def test_a_call_that_blocks_fails_an_async_test(call: str, path: Path) -> None:
    """Even where it is quick this time."""
    with pytest.raises(BlockingError):
        ours(call)(path)


@pytest.mark.parametrize(
    "make", [asyncio.SelectorEventLoop, uvloop.new_event_loop, VirtualTimeLoop]
)
def test_it_fails_a_test_that_runs_a_loop_itself(
    make: Callable[[], asyncio.AbstractEventLoop], path: Path
) -> None:
    """As tests of programs do, with ``asyncio.run``; on any loop."""

    async def main() -> None:
        ours("path.read_bytes()")(path)

    with asyncio.Runner(loop_factory=make) as runner, pytest.raises(BlockingError):
        runner.run(main())


async def test_what_blocks_elsewhere_is_not_our_business(path: Path) -> None:
    """A thread may block, and so may code that is the user's."""
    read = ours("path.read_bytes()")

    assert await asyncio.to_thread(read, path) == b"x"
    assert path.read_bytes() == b"x"


async def test_exceptions_are_one_function_wide(path: Path) -> None:
    """The inline executor runs a user's code, and does nothing else; a namesake of its function may not."""
    read = "path.read_bytes()"
    assert ours(read, "executors/_inline.py", "_run")(path) == b"x"
    for where in (("executors/_inline.py", "start"), ("store/_file.py", "_run")):
        with pytest.raises(BlockingError):
            ours(read, *where)(path)


async def test_the_log_may_not_write_on_the_loop(path: Path) -> None:
    """Its file may be on a server that hangs, so a thread writes it."""
    with path.open("wb") as file, pytest.raises(BlockingError):
        ours(f"os.write({file.fileno()}, b'x')", "_log_file.py", "write")(path)
