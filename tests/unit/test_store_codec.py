"""The journal's line: what is written is read, and damage is seen."""

from __future__ import annotations

import math
import types
import typing
import zlib
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiotune.errors import JournalCorrupt
from aiotune.events import (
    EVENT_TYPES,
    AttemptEnded,
    Event,
    MetricsReported,
    SearchEnded,
    SpaceGrew,
    TrialCreated,
    TrialEnded,
)
from aiotune.failures import FailureKind, TrialFailure
from aiotune.status import TrialStatus
from aiotune.store._codec import BadLine, decode_line, encode_line

_LONGEST = 64 << 10


def _encoded(event: Event) -> bytes:
    return encode_line(event, seq=7, batch=4096, at=1_700_000_000_000_000_000, since=12)


def _decoded(line: bytes) -> Event:
    event = decode_line(line)[1]
    assert event is not None
    return event


def _line(text: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text), text)


# repr tells 1 from 1.0 and True, and NaN is like NaN.
def _exactly(event: Event) -> str:
    return f"{type(event).__name__} {msgspec.to_builtins(event)!r}"


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# "$f" is how the journal marks a number that JSON cannot write.
_name = _text | st.just("$f")
_PLAIN: dict[object, st.SearchStrategy[Any]] = {
    str: _text | st.sampled_from(["nan", "inf", "-inf"]),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(),
    bool: st.booleans(),
    type(None): st.none(),
    Any: st.recursive(
        _text | st.integers(-(2**53), 2**53) | st.booleans() | st.floats() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_name, inner, max_size=2),
        max_leaves=5,
    ),
}


def _of(hint: Any) -> st.SearchStrategy[Any]:
    if hint in _PLAIN:
        return _PLAIN[hint]
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(*map(_of, arguments))
    if origin in {list, tuple}:
        return st.lists(_of(arguments[0]), max_size=3).map(origin)
    if origin is dict:
        return st.dictionaries(_name, _of(arguments[1]), max_size=4)
    if issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    return _built(hint)


def _built(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    finite = st.floats(allow_nan=False, allow_infinity=False)
    fields = {
        # A clock's reading and a duration are always finite.
        f.name: finite if f.type is float else _of(f.type)
        for f in msgspec.structs.fields(struct)
    }
    return st.builds(struct, **fields)


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_event_of_every_type_survives(kind: type[Event]) -> None:
    """Whatever an event holds is read back exactly, from one line of ASCII."""

    @given(_built(kind))
    def survives(event: Event) -> None:
        line = _encoded(event)

        assert line.isascii()
        assert line.find(b"\n") == len(line) - 1
        assert _exactly(_decoded(line)) == _exactly(event)

    survives()


def test_envelope_survives() -> None:
    """The number, the batch and the version are read back."""
    envelope, _ = decode_line(_encoded(SearchEnded(reason="done")))

    assert (envelope.v, envelope.seq, envelope.b, envelope.ign) == (1, 7, 4096, False)


_NON_FINITE = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.5}


@pytest.mark.parametrize(
    "event",
    [
        MetricsReported(trial_id="0", attempt=1, step=0, metrics=_NON_FINITE),
        TrialCreated(trial_id="0", index=0, values={"x": math.nan}),
        TrialCreated(trial_id="0", index=0, values={}, budget={"epochs": math.inf}),
        TrialEnded(trial_id="0", status=TrialStatus.COMPLETED, values={"lr": math.inf, "n": 1}),
        TrialEnded(trial_id="0", status=TrialStatus.COMPLETED, values={}, score=math.nan),
        TrialEnded(trial_id="0", status=TrialStatus.COMPLETED, values={}, metrics=_NON_FINITE),
        TrialEnded(
            trial_id="0", status=TrialStatus.FAILED, values={}, executions=[{}, _NON_FINITE]
        ),
        SpaceGrew(entries=[{"class_name": "Choice", "config": {"values": [0.5, math.inf]}}]),
        TrialCreated(trial_id="0", index=0, values={"$f": "nan", "x": math.nan}),
        TrialCreated(trial_id="0", index=0, values={"$f": "nan"}, budget={"$f": math.nan}),
    ],
    ids=[
        "metrics",
        "values",
        "budget",
        "final values",
        "score",
        "result",
        "executions",
        "space",
        "beside a name like the mark",
        "under a name like the mark",
    ],
)
def test_non_finite_numbers_survive(event: Event) -> None:
    """NaN and infinities are kept, although JSON has no word for them."""
    line = _encoded(event)

    assert b'{"$f":' in line
    assert _exactly(_decoded(line)) == _exactly(event)


def test_event_with_nan_equals_what_is_read() -> None:
    """NaN comes back as the one object of ``math``, so that a replayed state can be compared."""
    event = MetricsReported(trial_id="0", attempt=1, step=0, metrics={"loss": math.nan})

    assert _decoded(_encoded(event)) == event


@pytest.mark.parametrize(
    "name", ["Größe", "学习率", "🚀", "a\nb", 'quote"\\', "\x00\x1b\x7f", "\u2028\u2029", '{"$f":']
)
def test_text_of_any_script_stays_in_one_ascii_line(name: str) -> None:
    """No character of a name can break the line or the file's encoding."""
    event = TrialCreated(trial_id="0", index=0, values={name: name})
    line = _encoded(event)

    assert line.isascii()
    assert line.splitlines() == [line[:-1]]
    assert _decoded(line) == event


def _failed(message: str = "", traceback: str = "") -> AttemptEnded:
    failure = TrialFailure(kind=FailureKind.ERROR, message=message, traceback=traceback)
    return AttemptEnded(
        trial_id="0", attempt=1, attempt_id="a", outcome=TrialStatus.INVALID, failure=failure
    )


@pytest.mark.parametrize("letter", ["x", "é", "学", "🚀", "\x01", "\n", '"'], ids=ascii)
def test_long_traceback_keeps_its_end(letter: str) -> None:
    """However its letters are escaped, a failure fits into a record, and its last line stays."""
    event = _failed(f"{letter * 100_000}is wrong", f"{letter * 100_000}ValueError: units")
    line = _encoded(event)
    found = _decoded(line)

    assert len(line) < _LONGEST
    assert isinstance(found, AttemptEnded)
    assert found.failure is not None
    assert found.failure.traceback.startswith("... ")
    assert found.failure.traceback.endswith(f"{letter}ValueError: units")
    assert found.failure.message.endswith(f"{letter}is wrong")
    assert found.failure.kind is FailureKind.ERROR


def test_traceback_of_ordinary_length_is_whole() -> None:
    """Eight thousand characters are kept as they are."""
    event = _failed("é" * 1_000, "line\n" * 1_600)

    assert _decoded(_encoded(event)) == event


def test_undecodable_file_name_in_a_failure_is_shown() -> None:
    """A lone surrogate, as in the name of a file that is not UTF-8, is written as its escape."""
    found = _decoded(_encoded(_failed("No such file: \udcff.csv", "open('\udcff.csv')")))

    assert isinstance(found, AttemptEnded)
    assert found.failure is not None
    assert found.failure.message == "No such file: \\udcff.csv"
    assert found.failure.traceback == "open('\\udcff.csv')"


def test_undecodable_folder_name_in_a_failure_is_shown() -> None:
    """A project below a folder whose name is not UTF-8 can record its failures."""
    event = _failed()
    assert event.failure is not None
    failure = msgspec.structs.replace(event.failure, log_path="/runs/\udcff/output.log")
    found = _decoded(_encoded(msgspec.structs.replace(event, failure=failure)))

    assert isinstance(found, AttemptEnded)
    assert found.failure is not None
    assert found.failure.log_path == "/runs/\\udcff/output.log"


def test_exception_of_endless_ancestry_fits() -> None:
    """However many classes an exception has, and however long their names, its failure is recorded."""
    names = [f"{'学' * 5_000}{i}" for i in range(200)]
    failure = TrialFailure(
        kind=FailureKind.ERROR,
        type=names[0],
        message="é" * 100_000,
        traceback="é" * 100_000,
        mro=tuple(names),
        log_path="é" * 5_000,
    )
    line = _encoded(msgspec.structs.replace(_failed(), failure=failure))
    found = _decoded(line)

    assert len(line) < _LONGEST
    assert isinstance(found, AttemptEnded)
    assert found.failure is not None
    assert found.failure.mro[0].endswith("学0")


def test_oversized_record_is_refused() -> None:
    """A record over the limit is refused with a sentence of its size and what to do."""
    metrics = {"m" * 9_000_000: 0.5}

    with pytest.raises(
        ValueError,
        match=r"A MetricsReported record of \d{5,} bytes is over the limit of 8388608\. Report fewer",
    ):
        _encoded(MetricsReported(trial_id="0", attempt=1, step=0, metrics=metrics))


@pytest.mark.parametrize(
    "extra", [b"", b',"value":{"$f":"nan"}'], ids=["plain", "with a number that is not finite"]
)
def test_unknown_type_is_skipped_only_if_it_says_so(extra: bytes) -> None:
    """A newer version's record is refused with an advice, unless it is marked as ignorable."""
    text = b'{"v":1,"seq":3,"b":0,"type":"moon_landed"%s' % extra
    envelope, event = decode_line(_line(text + b',"ign":true}'))

    assert (envelope.seq, event) == (3, None)
    with pytest.raises(JournalCorrupt, match=r"Record 3 .* does not know .* upgrade aiotune"):
        decode_line(_line(text + b"}"))


def test_record_of_a_newer_form_is_refused() -> None:
    """A record whose version is above ours is not guessed at, even if it looks familiar."""
    text = _encoded(SearchEnded(reason="done"))[9:-1].replace(b'"v":1,', b'"v":2,')

    with pytest.raises(JournalCorrupt, match=r"Record 7 .*form 2.*upgrade aiotune"):
        decode_line(_line(text))


_GOOD = _encoded(SearchEnded(reason="done", at=1.0))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"00000000 \n",
        _GOOD[:-1],
        _GOOD[1:],
        b"zzzzzzzz" + _GOOD[8:],
        _GOOD[:8] + b"_" + _GOOD[9:],
        _GOOD.replace(b"done", b"Done"),
        b"\0" * 512 + b"\n",
        _line(b"not json"),
        _line(b"[]"),
        _line(b'{"v":1}'),
        _line(b'{"v":1,"seq":"7","b":0,"type":"search_ended","reason":""}'),
    ],
    ids=str,
)
def test_damaged_line_is_bad(line: bytes) -> None:
    """What is cut, changed or no record at all is a bad line."""
    with pytest.raises(BadLine):
        decode_line(line)


@given(st.integers(0, len(_GOOD) * 8 - 1))
@example(5)
def test_flipped_bit_never_changes_an_event(bit: int) -> None:
    """After a flip the line is bad, or says the same as before."""
    flipped = bytearray(_GOOD)
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        found = decode_line(bytes(flipped))
    except BadLine:
        return

    assert found == decode_line(_GOOD)
