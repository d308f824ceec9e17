"""Hostile frames and journal lines: understood, or refused in a sentence; never a crash, never a hang.

Each case is a real message or record that is bent: bits, bytes, lengths, types, depth. A record gets a
checksum that fits, as from somebody who edits a file and knows how.
"""

from __future__ import annotations

import asyncio
import json
import random
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import aiotune
from aiotune.errors import AiotuneError, JournalCorrupt
from aiotune.events import Event
from aiotune.failures import FailureKind, OutOfMemory, TrialFailure
from aiotune.failures import MemoryCause as Cause
from aiotune.objective import Objective
from aiotune.store import Layout
from aiotune.store._codec import BadLine, decode_line
from aiotune.store._replay import ProjectState
from aiotune.wire import (
    Discovered,
    Done,
    Failed,
    FrameError,
    FrameReader,
    FromWorker,
    Hello,
    Probed,
    Report,
    Weighed,
    encode,
)

_MOST_BUFFERED = 2 << 20
_TURNS = set("LRE RLE LRO RLO PDF LRI RLI FSI PDI".split())
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, -(2**63), 2**64 - 1, 0.5, float("inf"), float("nan"), "", "\x1b[31m\r\n\u202e",
    "0", "0000", "x" * 5000, [], {}, [[]], {"t": "Done"}, {"$f": "nan"}, {"$f": 1}, [None] * 50,
    {"": {"": {}}}, "COMPLETED", "../../etc/passwd",
)  # fmt: skip


class Troubled(aiotune.RandomSearch):
    """A search whose journal has records of most kinds."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> dict[str, float]:
        hp = trial.hyperparameters
        x: float = hp.Float("x", 0.0, 1.0)
        if hp.Boolean("deep"):
            hp.Int("größe", 1, 9)
        if x > 0.7:
            raise ValueError(f"x = {x} is too large\n\x1b[31m for me")
        return {"loss": x, "other": float("nan")}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Give the journal of such a search, stopped and continued once."""
    folder = tmp_path_factory.mktemp("searched")
    for trials in (4, 8):
        tuner = Troubled(
            objective="loss",
            max_trials=trials,
            max_retries_per_trial=1,
            max_consecutive_failed_trials=None,
            seed=3,
            directory=folder,
            project_name="p",
            executor="inline",
        )
        asyncio.run(tuner.search(verbose=0))
    paths = sorted(Layout(folder, "p").journal_dir.glob("0*.jsonl"))
    return [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]


def full(small: int, large: int) -> pytest.MarkDecorator:
    """Run a test with a small number always, and with a large one when torture is asked for."""
    return pytest.mark.parametrize(
        "number", [small, pytest.param(large, marks=pytest.mark.torture)]
    )


# ── frames ─────────────────────────────────────────────────────────────────


def messages() -> list[Any]:
    """Return a message of each kind that a worker says."""
    failure = TrialFailure(
        kind=FailureKind.OUT_OF_MEMORY,
        type="ResourceExhaustedError",
        message="OOM when allocating",
        mro=("a.B",),
        memory=OutOfMemory(cause=Cause.DEVICE, asked=7, limit=8),
    )
    entry = {"class_name": "Float", "config": {"name": "x", "min_value": 0.0, "max_value": 1.0}}
    return [
        Hello(pid=7),
        Discovered(values={"x": 0.5}, entries=[entry]),
        Report(execution=0, step=3, metrics={"loss": 0.5, "größe": 2.0}),
        Done(metrics={"loss": 0.5}, best_step=3, executions=[{"loss": 0.5}], values={"x": 0.5}, entries=[entry]),
        Probed(values={"x": 0.5}, entries=[entry], parameters=12),
        Weighed(size=None, values={}, entries=[], why="there is no process for it"),
        Failed(failure=failure, values={"x": 0.5}, entries=[]),
    ]  # fmt: skip


def bent(rng: random.Random, frames: Sequence[bytes]) -> bytes:
    """Return a stream of frames with something wrong in it, mostly."""
    frame = bytearray(rng.choice(frames))
    match rng.randrange(8):
        case 0:  # bits
            for _ in range(rng.randint(1, 4)):
                frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        case 1:  # a tail that is missing, or another's
            frame = frame[: rng.randrange(len(frame))] + rng.choice((b"", rng.choice(frames)))
        case 2:  # a length
            frame[:4] = rng.choice((0, 1, 3, 1 << 20, (1 << 20) + 1, 1 << 31, 2**32 - 1)).to_bytes(
                4
            )
        case 3:  # anything at all
            body = rng.randbytes(rng.randint(0, 64))
            frame = bytearray(len(body).to_bytes(4) + body)
        case 4:  # depth
            body = rng.choice((b"\x91", b"\x81\xa1a")) * rng.randint(30, 20_000) + b"\xc0"
            frame = bytearray(len(body).to_bytes(4) + body)
        case 5:  # bytes that come or go
            place = rng.randrange(len(frame))
            frame[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        case _:  # other types
            body = msgspec.msgpack.encode(replaced(rng, msgspec.msgpack.decode(bytes(frame[4:]))))
            frame = bytearray(len(body).to_bytes(4) + body)
    return bytes(frame) + b"".join(rng.choices(frames, k=rng.randint(0, 2)))


def replaced(rng: random.Random, value: Any) -> Any:
    """Return a value with one part of it replaced, left out or repeated under another name."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        match rng.randrange(10):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return {**value, f"{key}\x1b": value[key]}
            case _:
                return {**value, key: replaced(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [
            *value[:place],
            replaced(rng, value[place]),
            *value[place + 1 :],
        ]
    return rng.choice(_ODD)


@full(20_000, 1_000_000)
def test_a_hostile_frame_is_a_message_or_refused(number: int) -> None:
    """Whatever a worker's user code writes to the channel, in whatever pieces it arrives."""
    rng = random.Random(number)
    frames = [encode(message) for message in messages()]
    refused = 0
    for _ in range(number):
        reader: FrameReader[Any] = FrameReader(FromWorker)
        said: list[Any] = []
        try:
            for piece in pieces(rng, bent(rng, frames)):
                said += reader.feed(piece)
                assert len(reader._buffer) <= _MOST_BUFFERED
            reader.finish()
        except FrameError as error:
            refused += 1
            check_sentence(str(error))
            assert reader.error is None or not heard(reader, frames[0])
        assert all(isinstance(message, msgspec.Struct) for message in said)

    assert 0.5 * number < refused < number


def heard(reader: FrameReader[Any], frame: bytes) -> bool:
    """Return whether a reader takes anything more."""
    try:
        reader.feed(frame)
    except FrameError:
        return False
    return True


def pieces(rng: random.Random, data: bytes) -> Iterator[bytes]:
    """Cut a stream as a socket may."""
    while data:
        size = rng.choice((1, 3, 4, 5, 64, len(data)))
        yield data[:size]
        data = data[size:]


# ── lines ──────────────────────────────────────────────────────────────────


def edited(rng: random.Random, line: bytes) -> bytes:
    """Return a line whose record says something else, under a checksum that fits, mostly."""
    record = replaced(rng, json.loads(line[9:]))
    text = json.dumps(record).encode()
    if rng.random() < 0.1:
        text = bytes(byte ^ (rng.random() < 0.02) for byte in text)
    if rng.random() < 0.02:
        text = b"[" * rng.randint(100, 5_000) + text
    return b"%08x %s\n" % (zlib.crc32(text), text.replace(b"\n", b" "))


@full(20_000, 1_000_000)
def test_a_hostile_line_is_a_record_or_refused(number: int, lines: list[bytes]) -> None:
    """A journal that was edited is read, or refused as damaged, also when its records are replayed."""
    rng = random.Random(number)
    whole = [event for line in lines if (event := decode_line(line)[1]) is not None]
    refused = replays = 0
    for _ in range(number):
        place = rng.randrange(len(lines))
        try:
            event = decode_line(edited(rng, lines[place]))[1]
            if event is not None and rng.random() < 0.2:
                replays += 1
                replay([*whole[:place], event, *whole[place + 1 :]])
        except BadLine:
            refused += 1
        except AiotuneError as error:
            refused += 1
            check_damage(error)

    assert 0.1 * number < refused < number
    assert replays > 0.01 * number


def check_damage(error: AiotuneError) -> None:
    """Check that an error says that the journal is damaged, in a sentence."""
    assert isinstance(error, JournalCorrupt), f"{type(error).__name__}: {error}"
    check_sentence(str(error))


def replay(events: list[Event]) -> None:
    """Fold events, and look at what came of them as a program would."""
    state = ProjectState.replay(events, seed=0, objective=Objective("loss", "min"))
    for trial in state.trials.values():
        assert trial.trial_id in state.trials
        str(trial)


def check_sentence(text: str) -> None:
    """Check that a text can be shown: short, and without control characters."""
    assert len(text) <= 1000, len(text)
    # Not every format character: some are letters' companions. Those that turn a line around are.
    odd = [c for c in text if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or turns(c)]
    assert not odd, repr(text)


def turns(character: str) -> bool:
    """Whether a character changes the direction in which a line is read."""
    return character in "\u200e\u200f\u061c" or unicodedata.bidirectional(character) in _TURNS


def test_the_catalogue_is_as_large_as_it_says() -> None:
    """At least 250 mistakes, each under a name of its own."""
    import runpy

    files = sorted(Path(__file__).parent.glob("test_bad_*.py"))
    names = [row.name for path in files for row in runpy.run_path(str(path))["ROWS"]]

    assert len(names) >= 400
    assert len(set(names)) == len(names)
