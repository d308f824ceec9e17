"""Displays without a terminal, the choice between displays, and their thread."""

from __future__ import annotations

import asyncio
import io

import pytest

from aiotune.display import (
    Display,
    PlainDisplay,
    SilentDisplay,
    Snapshot,
    ThreadedDisplay,
    clock,
    make_display,
    short_clock,
)
from aiotune.errors import ConfigurationError

MOMENT = Snapshot((), 3, 1, 10, "val_loss", 0.25, "0001", 65.0)


class Stream(io.TextIOWrapper):
    """A stream of some encoding, which may say that it is a terminal."""

    def __init__(self, *, tty: bool = False, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


class Tee:
    """What a program may put in place of sys.stdout: it writes, and no more."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)

    def flush(self) -> None:
        self.written.append("<flush>")


class Broken(SilentDisplay):
    """Fails at every line and counts how often it was stopped."""

    def __init__(self) -> None:
        self.stopped = 0

    def line(self, text: str) -> None:
        raise BrokenPipeError(text)

    def stop(self) -> None:
        self.stopped += 1
        raise OSError("already gone")


def show_all(display: Display) -> None:
    display.start()
    display.update(MOMENT)
    display.line("a line")
    display.stop()


def closed(display: SilentDisplay | ThreadedDisplay) -> None:
    """Wait until everything is shown."""
    asyncio.run(display.aclose())


def chosen(verbose: int | str, stream: Stream | None) -> str:
    display = make_display(verbose, stream)
    inner = display.inner if isinstance(display, ThreadedDisplay) else display
    return type(inner).__name__


def test_plain_display_writes_each_line_at_once() -> None:
    """A CI log gets lines as they come, and nothing of the moments between."""
    stream = Stream()
    show_all(PlainDisplay(stream))

    assert stream.bytes.getvalue() == b"a line\n"


def test_plain_display_escapes_what_its_stream_cannot_encode() -> None:
    """Under LANG=C a name in another script is shown escaped instead of ending the display."""
    stream = Stream(encoding="ascii")
    PlainDisplay(stream).line("größe 日")

    assert stream.bytes.getvalue() == b"gr\\xf6\\xdfe \\u65e5\n"


def test_plain_display_needs_only_write_and_flush() -> None:
    """A tee in place of sys.stdout has no encoding."""
    tee = Tee()
    display = make_display("auto", tee)  # type: ignore[arg-type]
    display.line("a line")
    closed(display)

    assert tee.written == ["a line\n", "<flush>"]


def test_silent_display_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither its stream nor the program's is touched."""
    stream = Stream(tty=True)
    show_all(make_display(0, stream))

    assert stream.bytes.getvalue() == b""
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("verbose", "tty", "expected"),
    [
        (0, True, "SilentDisplay"),
        (False, True, "SilentDisplay"),
        (1, True, "LiveDisplay"),
        (True, True, "LiveDisplay"),
        ("auto", True, "LiveDisplay"),
        (1, False, "PlainDisplay"),
        ("auto", False, "PlainDisplay"),
        (2, True, "PlainDisplay"),
    ],
)
def test_verbose_and_the_stream_choose_the_display(
    verbose: int | str, tty: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live only on a terminal, lines elsewhere or when asked for, silence when asked for."""
    monkeypatch.setenv("TERM", "xterm")

    assert chosen(verbose, Stream(tty=tty)) == expected


def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dumb terminal and one that lacks the bar's characters are written to like a file."""
    monkeypatch.setenv("TERM", "xterm")
    assert chosen(1, Stream(tty=True, encoding="latin-1")) == "PlainDisplay"

    monkeypatch.setenv("TERM", "dumb")
    assert chosen(1, Stream(tty=True)) == "PlainDisplay"


def test_without_a_stream_there_is_silence() -> None:
    """A program without standard output searches all the same."""
    assert chosen("auto", None) == "SilentDisplay"


@pytest.mark.parametrize("verbose", [3, -1, "live", 0.5, None])
def test_an_unknown_verbose_is_refused(verbose: int) -> None:
    """The sentence names what is allowed and what was given."""
    with pytest.raises(ConfigurationError, match=f"verbose must be 0, 1, 2 .* is {verbose!r}"):
        make_display(verbose, Stream())


def test_a_failing_display_is_left_out_once() -> None:
    """It is stopped, its error is told once, and later calls show nothing and raise nothing."""
    told: list[Exception] = []
    broken = Broken()
    display = ThreadedDisplay(broken, Stream(), told.append)
    display.line("first")
    closed(display)
    show_all(display)
    closed(display)

    assert [str(error) for error in told] == ["first"]
    assert broken.stopped == 1


def test_a_closed_stream_is_a_failure_like_any_other() -> None:
    """A notebook's cell or a test may close the stream while a search runs."""
    told: list[Exception] = []
    stream = Stream()
    display = make_display(2, stream, lost=told.append)
    stream.close()
    display.line("a line")
    closed(display)

    assert [type(error) for error in told] == [ValueError]


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (0.9, "00h 00m 00s", "0 s"),
        (59.9, "00h 00m 59s", "59 s"),
        (65, "00h 01m 05s", "1:05"),
        (3600, "01h 00m 00s", "1:00:00"),
        (7 * 86400 + 7200, "7d 02h 00m 00s", "7d 02h"),
    ],
)
def test_durations_are_shown_as_people_read_them(seconds: float, long: str, short: str) -> None:
    """The long form is KerasTuner's; the short one fits a column."""
    assert clock(seconds) == long
    assert short_clock(seconds) == short
