"""Signals during a search, where asyncio.run is not the one who handles them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest
import uvloop

from aiotune._signals import Signals

Factory = Callable[[], asyncio.AbstractEventLoop]
FACTORIES = [asyncio.new_event_loop, uvloop.new_event_loop]


def run(
    factory: Factory, number: signal.Signals, times: int, *, caught: bool = True
) -> tuple[list[signal.Signals], int]:
    """Let a task that waits for ever hear a signal; return what it heard, and how often it was hurried."""
    hurried = 0

    def hurry() -> None:
        nonlocal hurried
        hurried += 1
        come.set()

    come = asyncio.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with Signals(hurry) as signals:
            try:
                loop.call_soon(os.kill, os.getpid(), number)
                await loop.create_future()
            except asyncio.CancelledError:
                for _ in range(times - 1):
                    os.kill(os.getpid(), number)
                    await come.wait()
                    come.clear()
                heard.extend(signals.heard)
                signals.interrupt_in_the_end("It was interrupted.")
                if not caught:
                    raise

    heard: list[signal.Signals] = []
    loop = factory()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return heard, hurried


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_the_first_signal_cancels_and_the_others_hurry(
    factory: Factory, number: signal.Signals
) -> None:
    """On either loop; afterwards the handlers are as they were."""
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]

    heard, hurried = run(factory, number, 3)

    assert (heard, hurried) == ([number] * 3, 2)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_a_task_that_ends_by_it_ends_in_keyboard_interrupt(factory: Factory) -> None:
    """As of ``asyncio.run``; whoever catches the cancellation, as IPython does, meets nothing more."""
    with pytest.raises(KeyboardInterrupt, match=r"It was interrupted\."):
        run(factory, signal.SIGINT, 1, caught=False)
    assert run(factory, signal.SIGINT, 1, caught=True) == ([signal.SIGINT], 0)


def test_a_handler_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio.run's own, a notebook's, or the program's: they know better."""
    signal.signal(signal.SIGTERM, lambda *_: None)

    async def main() -> None:
        mine = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        with Signals(lambda: None):
            assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == mine

    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


async def test_the_loop_wakes_up_by_itself() -> None:
    """Without it a notebook hears "Interrupt" when the search has something to do."""
    loop = asyncio.get_running_loop()
    turns = 0
    run_once = loop._run_once  # type: ignore[attr-defined]

    def counted() -> None:
        nonlocal turns
        turns += 1
        run_once()

    loop._run_once = counted  # type: ignore[attr-defined]
    with Signals(lambda: None):
        await asyncio.sleep(0.6)
    in_search, turns = turns, 0
    await asyncio.sleep(0.6)

    assert in_search >= 3
    assert turns <= 2


def test_another_thread_installs_no_handler() -> None:
    """Only the main thread may; a search in another one goes without."""
    errors: list[BaseException] = []

    def search() -> None:
        async def main() -> None:
            with Signals(lambda: None):
                pass

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - the assertion is in the main thread
            errors.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()

    assert errors == []
