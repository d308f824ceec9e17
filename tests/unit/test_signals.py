"""Signals during a search, where asyncio.run handles Ctrl-C and where nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from aiotune import _signals
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


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_a_press_is_pythons_where_the_loop_is_blocked_for_long(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a trial of ``executor="inline"``, say, which hears of no cancellation."""
    monkeypatch.setattr(_signals, "_PATIENCE", 0.0)
    presses = 0

    def block() -> None:
        nonlocal presses
        while presses < 10:
            presses += 1
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        with Signals(lambda: None):
            block()

    with contextlib.closing(factory()) as loop, pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(main())

    assert presses == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name
)
def test_searches_of_one_loop_are_called_off_and_end_together(
    factory: Factory, number: signal.Signals
) -> None:
    """Who is the first to end would end the program, and leave the other where it is."""
    done: list[str] = []

    async def search(name: str, steps: int) -> None:
        with Signals(lambda: None) as signals:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                for _ in range(steps):
                    await asyncio.sleep(0)
                done.append(f"{name} has ended")
                await signals.end_together()
                done.append(f"{name} goes")

    async def main() -> None:
        both = asyncio.gather(search("a", 0), search("b", 9), return_exceptions=True)
        await asyncio.sleep(0)
        os.kill(os.getpid(), number)
        await both

    with contextlib.closing(factory()) as loop:
        loop.run_until_complete(main())

    assert done[:2] == ["a has ended", "b has ended"]
    assert sorted(done[2:]) == ["a goes", "b goes"]


def test_a_handler_of_somebody_else_stays() -> None:
    """A notebook's, or the program's: they know better."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    async def main() -> None:
        mine = [signal.getsignal(number) for number in numbers]
        with Signals(lambda: None):
            assert [signal.getsignal(number) for number in numbers] == mine

    try:
        for number in numbers:
            signal.signal(number, lambda *_: None)
        asyncio.run(main())
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


# ── terminals and batch systems ────────────────────────────────────────────

ANNOUNCED = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU]


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
@pytest.mark.parametrize("number", ANNOUNCED, ids=lambda n: n.name)
def test_an_announced_end_cancels_once_and_hurries_nobody(
    factory: Factory, number: signal.Signals
) -> None:
    """A closed terminal sends SIGHUP twice; the workers have their time all the same."""
    hurried = 0
    heard: list[signal.Signals] = []
    deadly: signal.Signals | None = None

    def hurry() -> None:
        nonlocal hurried
        hurried += 1

    async def main() -> None:
        nonlocal deadly
        loop = asyncio.get_running_loop()
        with Signals(hurry) as signals, contextlib.suppress(asyncio.CancelledError):
            for _ in range(3):
                loop.call_soon(os.kill, os.getpid(), number)
            await loop.create_future()
        for _ in range(10):
            await asyncio.sleep(0)
        heard.extend(signals.heard)
        deadly = signals.deadly

    async def with_another() -> None:
        # The handlers stay while another search runs, so that all three are heard.
        with Signals(lambda: None), contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(main(), return_exceptions=True)

    with contextlib.closing(factory()) as loop:
        loop.run_until_complete(with_another())

    assert (heard, hurried, deadly) == ([number] * 3, 0, number)
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_what_nohup_ignores_stays_ignored(factory: Factory) -> None:
    """A search that was started to outlive its terminal does."""

    async def main() -> None:
        with Signals(lambda: None) as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
            assert signals.heard == []
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with contextlib.closing(factory()) as loop:
            loop.run_until_complete(main())
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_handler_that_python_does_not_know_of_stays() -> None:
    """``faulthandler.register(signal.SIGUSR1)`` writes stacks during a search and after it."""

    async def main() -> None:
        with Signals(lambda: None):
            os.kill(os.getpid(), signal.SIGUSR1)

    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a stream with a descriptor
        faulthandler.register(signal.SIGUSR1, file=nowhere)
        try:
            asyncio.run(main())
            os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            faulthandler.unregister(signal.SIGUSR1)


# ── Ctrl-C of asyncio.run ──────────────────────────────────────────────────


class Pressed:
    """A search that hears signals, all at once, or one and the other when it has been cancelled."""

    def __init__(self, *numbers: signal.Signals, later: signal.Signals | None = None) -> None:
        self.hurried = 0
        self.cancelled = 0
        self.heard: list[signal.Signals] = []
        self._numbers, self._later = numbers, later

    async def search(self) -> None:
        self._hurry = asyncio.Event()
        cancelled = asyncio.current_task()
        assert cancelled is not None
        with Signals(self._hurried) as signals:
            try:
                asyncio.get_running_loop().call_soon(self._press)
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if self._later:
                    os.kill(os.getpid(), self._later)
                if self._later or len(self._numbers) > 1:
                    await self._hurry.wait()
                if signal.SIGINT in signals.heard:
                    signals.interrupt_in_the_end("It was interrupted.")
                raise
            finally:
                self.heard = signals.heard
                self.cancelled = cancelled.cancelling()

    def _press(self) -> None:
        for number in self._numbers:
            os.kill(os.getpid(), number)

    def _hurried(self) -> None:
        self.hurried += 1
        self._hurry.set()


def run_in_runner(factory: Factory, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run as ``asyncio.run`` does; the handlers are as they were afterwards."""
    before = signal.getsignal(signal.SIGINT)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
    finally:
        assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_a_first_press_cancels_the_program(factory: Factory) -> None:
    """Its last line says what of, and not only that."""
    search = Pressed(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"It was interrupted\."):
        run_in_runner(factory, search.search)

    assert (search.heard, search.hurried, search.cancelled) == ([signal.SIGINT], 0, 1)


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_more_presses_hurry_and_raise_nothing(factory: Factory) -> None:
    """KeyboardInterrupt out of nowhere could meet a thread that is just being started."""
    search = Pressed(*[signal.SIGINT] * 4)

    with pytest.raises(KeyboardInterrupt, match=r"It was interrupted\."):
        run_in_runner(factory, search.search)

    assert (search.heard, search.hurried, search.cancelled) == ([signal.SIGINT], 3, 1)


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_a_press_after_a_search_was_long_hurried_is_pythons(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever blocks the loop can still be interrupted."""
    monkeypatch.setattr(_signals, "_PATIENCE", 0.0)
    search = Pressed(*[signal.SIGINT] * 3)

    with pytest.raises(KeyboardInterrupt):
        run_in_runner(factory, search.search)

    assert search.hurried == 1


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_searches_side_by_side_are_hurried_together(factory: Factory) -> None:
    """The main task waits for both; neither is it, so neither says what asyncio says."""
    searches = [Pressed(signal.SIGINT, signal.SIGINT), Pressed(signal.SIGINT, signal.SIGINT)]

    async def main() -> None:
        await asyncio.gather(*(search.search() for search in searches))

    with pytest.raises(KeyboardInterrupt) as caught:
        run_in_runner(factory, main)

    assert caught.value.args == ()
    assert [search.heard for search in searches] == [[], []]
    assert all(search.hurried for search in searches)


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__module__)
def test_a_press_after_sigterm_hurries(factory: Factory) -> None:
    """A second cancellation would break off the end that is under way."""
    search = Pressed(signal.SIGTERM, later=signal.SIGINT)

    async def main() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await search.search()

    run_in_runner(factory, main)

    assert (search.heard, search.hurried, search.cancelled) == ([signal.SIGTERM], 1, 1)


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
