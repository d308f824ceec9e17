"""Where a display writes in its thread, and what a program prints while a live table is shown."""

from __future__ import annotations

import io
import os
import pty
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO, cast

import pytest

from aiotune._writer import Writer
from aiotune.display import Snapshot
from aiotune.display._descriptor import Descriptor, writable
from aiotune.display._prints import Prints, Redirection, program_stream


class Shown:
    """An outlet that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, lines: Sequence[str]) -> None:
        self.lines += lines

    def show(self, moment: Snapshot | None) -> None:
        raise AssertionError(moment)

    def close(self) -> None:
        pass


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Give the reader's end of a pipe and a stream as Python opens it for sys.stdout."""
    read, write = os.pipe()
    with open(write, "w", encoding="ascii") as stream:  # noqa: PTH123 - a descriptor
        yield read, stream
    os.close(read)


def test_what_a_program_has_printed_goes_first(pipe: tuple[int, TextIO]) -> None:
    """Its lines and ours come in the order of time, though Python has kept its own back."""
    read, stream = pipe
    stream.write("printed\n")
    writable(stream).write("größe\n")

    assert os.read(read, 100) == b"printed\ngr\\xf6\\xdfe\n"


def test_a_full_pipe_is_not_filled_while_the_streams_lock_is_held(
    pipe: tuple[int, TextIO],
) -> None:
    """Where the program's text might have to wait it stays where it is, and ours does not need the lock."""
    read, stream = pipe
    stream.write("printed\n")
    os.write(stream.fileno(), b"x" * 40_000)
    writable(stream).write("ours\n")

    assert os.read(read, 60_000).endswith(b"xours\n")


def test_a_descriptor_that_others_made_non_blocking_is_waited_for(
    pipe: tuple[int, TextIO],
) -> None:
    """A shared terminal may be left so by another program; that is no failure of it."""
    read, stream = pipe
    os.set_blocking(stream.fileno(), False)
    text = "x" * 200_000
    writing = threading.Thread(target=lambda: writable(stream).write(text))
    writing.start()
    got = 0
    while got < len(text):
        got += len(os.read(read, 1 << 16))
    writing.join()

    assert got == len(text)


def test_only_a_plain_stream_is_written_to_by_its_descriptor(
    capsys: pytest.CaptureFixture[str], pipe: tuple[int, TextIO]
) -> None:
    """A notebook's or a test's stream shows its text elsewhere; a closed one is a failure, as ever."""
    memory = io.StringIO()
    wrapped = io.TextIOWrapper(io.BytesIO())

    assert writable(memory) is memory
    assert writable(wrapped) is wrapped
    assert writable(sys.stdout) is sys.stdout
    ours = writable(pipe[1])
    assert isinstance(ours, Descriptor)
    assert ours.fileno() != pipe[1].fileno()
    pipe[1].close()
    with pytest.raises(ValueError, match="closed"):
        ours.write("a")


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    """Give a terminal."""
    other, end = pty.openpty()
    with open(end, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        yield stream
    os.close(other)


def test_what_a_program_prints_are_lines_of_the_display(
    terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order; a line that is not whole waits for its end; afterwards the stream is the program's."""
    monkeypatch.setattr(sys, "stdout", terminal)
    shown = Shown()
    writer: Writer[Snapshot | None] = Writer(shown, str)
    redirection = Redirection(writer)
    redirection.begin()
    kept = sys.stdout
    print("a", 1)  # noqa: T201 - that is what is tested
    print("b", end="")  # noqa: T201
    print("c\nd", end="")  # noqa: T201
    assert kept.isatty()
    assert program_stream(kept) is terminal
    redirection.end()

    assert sys.stdout is terminal
    assert writer.join()
    assert shown.lines == ["a 1", "bc", "d"]
    assert kept.write("straight to the terminal\n") > 0
    assert shown.lines == ["a 1", "bc", "d"]


def test_a_stream_that_the_program_has_replaced_meanwhile_stays(
    terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose turn it is is not ours to say: a hook may redirect sys.stdout and keep it so."""
    monkeypatch.setattr(sys, "stdout", terminal)
    redirection = Redirection(Writer(Shown(), str))
    redirection.begin()
    mine = io.StringIO()
    sys.stdout = mine
    redirection.end()

    assert sys.stdout is mine


def test_a_forked_process_prints_for_itself(tmp_path: Path) -> None:
    """The thread that shows lines is not there in a child."""
    path = tmp_path / "out"
    with path.open("w") as stream:
        prints = Prints(Writer(Shown(), str), cast("TextIO", stream))
        prints._pid = -1  # as a child sees it
        prints.write("from the child\n")
        prints.flush()

    assert path.read_text() == "from the child\n"
