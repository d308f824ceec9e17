"""What every test is held to: no blocked loop, no process left behind."""

from __future__ import annotations

import asyncio
import builtins
import fcntl
import io
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import psutil
import pytest
import structlog
from blockbuster import BlockBuster, BlockBusterFunction, blockbuster_ctx
from hypothesis import settings

import aiotune._search as _imported_here  # noqa: F401 - importing reads files
from aiotune.testing import VirtualTimeLoop
from aiotune.testing._loops import loop_of_kind

# Every process that this run starts inherits it, whoever becomes its parent.
_RUN = uuid.uuid4().hex
os.environ["AIOTUNE_TEST_RUN"] = _RUN
os.environ["AIOTUNE_CLAIMS"] = (
    ""  # the GPUs of tests are made up, and have the same names in every run
)
_TOOLS = ["aiotune.testing"]  # what tests are made with may block
_KIND = os.environ.get("AIOTUNE_TEST_LOOP", "asyncio")
# Keras takes TensorFlow, also where it is not installed.
_BACKENDS = [name for name in ("tensorflow", "jax", "torch") if find_spec(name) is not None]
if _BACKENDS:
    os.environ.setdefault("KERAS_BACKEND", _BACKENDS[0])

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("repeatable")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give tests marked ``virtual_time`` a loop whose clock jumps; the others one of the kind asked for."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": _virtual_loop}
    return {_KIND: partial(loop_of_kind, _KIND)}


def _virtual_loop() -> VirtualTimeLoop:
    loop = VirtualTimeLoop()
    if _KIND == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    return loop


def pytest_configure(config: pytest.Config) -> None:
    """Take another kind of event loop for all tests, if ``AIOTUNE_TEST_LOOP`` names one; hear Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell's job in the background; tests press Ctrl-C, and so do the programs they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if _KIND != "asyncio":
        # What asyncio.run() calls. Loop policies, the other way, are deprecated from Python 3.14 on.
        asyncio.events.new_event_loop = partial(loop_of_kind, _KIND)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is about TensorFlow where Keras runs on another back end."""
    backend = os.environ.get("KERAS_BACKEND")
    if item.get_closest_marker("tensorflow") is not None and backend != "tensorflow":
        pytest.skip(f"about TensorFlow; Keras runs on {backend} here")


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which aiotune's own code blocks an event loop, whoever runs the loop."""
    # Loading a model imports keras into the program, and is synchronous by design.
    if request.node.get_closest_marker("keras") is not None:
        yield
        return
    with blockbuster_ctx("aiotune", excluded_modules=_TOOLS) as buster:
        _forbid_more(buster)
        _allow(buster)
        yield


def _forbid_more(buster: BlockBuster) -> None:
    # What its own list lacks, and what a tuner does all the time: a sync takes as
    # long as the disk likes, a fork as long as the parent is large.
    for module, name in (
        *((os, name) for name in ("fsync", "fdatasync", "open", "ftruncate", "waitpid")),
        *((module, "open") for module in (io, builtins)),
        (fcntl, "flock"),
        (subprocess, "_fork_exec"),
    ):
        function = BlockBusterFunction(
            module, name, scanned_modules="aiotune", excluded_modules=_TOOLS
        )
        buster.functions[function.full_name] = function.activate()


def _allow(buster: BlockBuster) -> None:
    # Looking up a name in a directory waits for no disk as a rule.
    buster.functions["os.stat"].deactivate()
    # The inline executor runs the user's code on the loop by design, and so are a
    # tuner's hooks run that are coroutines.
    for function in buster.functions.values():
        function.can_block_in("aiotune/executors/_inline.py", {"_run"})
        function.can_block_in("aiotune/_callbacks.py", {"_steps"})
        function.can_block_in("aiotune/_offload.py", {"run"})  # InlineOffloader's
        # On virtual time nobody waits for anybody: files are in memory, threads have a baton.
        function.can_block_in("aiotune/testing/simulator/_lives.py", {"live"})
        function.can_block_in("aiotune/testing/simulator/_threads.py", {"go_on"})


@pytest.fixture(autouse=True)
def structlog_is_not_configured() -> Iterator[None]:
    """Undo what a test does to structlog: a search also tells a program that has configured it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """Fail a test that leaves a process of its own behind, child or orphan."""
    before = _mine()
    yield
    left = [process for process in _mine() if process not in before]
    _, alive = psutil.wait_procs(left, 2)
    named = [f"{p.pid} {' '.join(_command(p))[:120]}" for p in alive if _running(p)]
    assert not named, f"processes left behind: {named}"


def _mine() -> set[psutil.Process]:
    # By identity, pid and start, since the kernel gives a number to another process.
    children = psutil.Process().children(recursive=True)
    return {*children, *(p for p in psutil.process_iter() if _is_ours(p))}


def _is_ours(process: psutil.Process) -> bool:
    try:
        return process.environ().get("AIOTUNE_TEST_RUN") == _RUN and process.pid != os.getpid()
    except psutil.Error:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
