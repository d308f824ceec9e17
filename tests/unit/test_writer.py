"""The thread that writes for callers which may not wait."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from aiotune._writer import Writer


@dataclass
class Slow:
    """An outlet that blocks until it is read, and remembers."""

    read: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    written: list[str] = field(default_factory=list)
    closed: int = 0

    def write(self, lines: Sequence[str]) -> None:
        if lines:
            self.began.set()
            self.read.wait()
            self.written += lines

    def show(self, moment: int) -> None:
        self.written.append(f"moment {moment}")

    def close(self) -> None:
        self.closed += 1


class Failing(Slow):
    """An outlet whose terminal is gone."""

    def write(self, lines: Sequence[str]) -> None:
        if lines:
            raise BrokenPipeError(lines[0])

    def close(self) -> None:
        super().close()
        raise OSError("already gone")


def notice(count: int) -> str:
    return f"<{count}>"


def blocked(outlet: Slow, *, most: int = 1 << 20) -> Writer[int]:
    """Return a writer whose thread waits in its first line."""
    writer: Writer[int] = Writer(outlet, notice, most=most)
    writer.put("first")
    assert outlet.began.wait(10)
    return writer


def test_lines_and_moments_are_written_in_order_and_the_outlet_is_closed() -> None:
    """What was put before the end is there at the end."""
    outlet = Slow()
    outlet.read.set()
    writer: Writer[int] = Writer(outlet, notice)
    writer.put("a", "b")
    writer.put("c", wake=False)
    writer.show(1)

    assert writer.join()
    assert [text for text in outlet.written if text != "moment 1"] == ["a", "b", "c"]
    assert (outlet.written[-1], outlet.closed) == ("moment 1", 1)


def test_a_caller_never_waits_and_the_newest_lines_are_kept() -> None:
    """Of a thousand lines for an unread terminal as many wait as may, and it is said how many do not."""
    outlet = Slow()
    writer = blocked(outlet, most=40)
    for number in range(1000):
        writer.put(f"{number:04d}")
    outlet.read.set()

    assert writer.join()
    assert outlet.written == ["first", "<990>", *(f"{number:04d}" for number in range(990, 1000))]


def test_only_the_newest_moment_is_shown() -> None:
    """A terminal that is read again shows how things are, not how they were."""
    outlet = Slow()
    writer = blocked(outlet)
    for moment in range(100):
        writer.show(moment)
    outlet.read.set()

    assert writer.join()
    assert outlet.written == ["first", "moment 99"]


def test_lines_without_a_wake_wait_for_one() -> None:
    """Ordinary lines of a log cost no turn of the thread each."""
    outlet = Slow()
    writer: Writer[int] = Writer(outlet, notice)
    writer.put("a", wake=False)
    assert writer._thread is None

    writer.wake()
    assert outlet.began.wait(10)
    outlet.read.set()
    assert writer.join()


def test_an_error_is_told_once_and_nothing_is_written_after_it() -> None:
    """A terminal that hangs up neither raises here nor is tried again; what can be restored is."""
    outlet = Failing()
    writer: Writer[int] = Writer(outlet, notice)
    writer.put("first")
    assert writer.join()
    writer.put("second")
    writer.show(1)

    assert isinstance(writer.take_error(), BrokenPipeError)
    assert writer.take_error() is None
    assert (outlet.written, outlet.closed) == ([], 1)


def test_without_a_thread_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has no more threads for its user costs the display, not the search."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    writer: Writer[int] = Writer(Slow(), notice)
    writer.put("first")

    assert isinstance(writer.take_error(), RuntimeError)
    assert writer.join()


async def test_the_end_waits_for_a_slow_reader_and_the_loop_goes_on() -> None:
    """What is read in time is written; meanwhile other tasks run."""
    outlet = Slow()
    writer = blocked(outlet)
    writer.put("last")
    asyncio.get_running_loop().call_soon(outlet.read.set)

    assert await writer.aclose(10)
    assert outlet.written == ["first", "last"]


async def test_the_end_does_not_wait_for_an_unread_terminal() -> None:
    """The thread is left behind, and still writes what waits if it is read one day."""
    outlet = Slow()
    writer = blocked(outlet)
    writer.put("last")

    assert not await writer.aclose(0.01)
    outlet.read.set()
    assert await asyncio.to_thread(writer.join)
    assert outlet.written == ["first", "last"]


async def test_a_second_close_finds_it_ended() -> None:
    """Closing twice, or without a line, is no error."""
    outlet = Slow()
    outlet.read.set()
    writer: Writer[int] = Writer(outlet, notice)

    assert await writer.aclose(10)
    assert await writer.aclose(10)
    assert outlet.closed == 1


def test_a_thread_whose_loop_is_gone_ends_all_the_same() -> None:
    """A program may close its loop before the terminal is read."""
    outlet = Slow()
    writer = blocked(outlet)
    asyncio.run(writer.aclose(0.01))
    outlet.read.set()

    assert writer.join()
    assert outlet.written == ["first"]


def test_a_signal_handler_may_print_in_the_middle_of_a_line() -> None:
    """It runs in the thread that is putting one, and does not wait for itself."""
    outlet = Slow()
    outlet.read.set()
    writer: Writer[int] = Writer(outlet, notice)
    before = signal.signal(signal.SIGUSR1, lambda *_: writer.put("from the handler"))
    try:
        with writer._lock:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert writer.join()
    assert outlet.written == ["from the handler"]
