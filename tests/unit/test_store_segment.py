"""Segments: each but the first says what lies before it, and a stranger in its place is refused."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from aiotune.errors import JournalCorrupt
from aiotune.events import Event, TrialRequeued
from aiotune.store._journal import Journal
from aiotune.store._recovery import recover
from aiotune.store._segment import SegmentFile


def _fact(number: int) -> Event:
    return TrialRequeued(trial_id=f"{number:04d}", reason="lost")


def _write(folder: Path, numbers: range, segment_bytes: int = 250) -> None:
    folder.mkdir(exist_ok=True)
    journal = Journal(folder, recover(folder, repair=True), segment_bytes=segment_bytes)

    async def write() -> None:
        for number in numbers:
            await journal.append((_fact(number),))
        await journal.aclose()

    asyncio.run(write())


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("0*.jsonl"))


def test_segment_says_what_lies_before_it(tmp_path: Path) -> None:
    """Its first record has the name, the size and the checksum of the segment before."""
    _write(tmp_path, range(9))
    first, *others = _segments(tmp_path)
    before = first.read_bytes()

    assert b"segment_began" not in before
    assert len(others) > 1
    for path in others:
        line = path.read_bytes().splitlines(keepends=True)[0]
        said = json.loads(line[9:])
        assert (said["type"], said["b"], said["ign"]) == ("segment_began", 0, True)
        assert said["previous"] == f"{int(path.stem) - 1:06d}.jsonl"
        assert (said["length"], said["crc32"]) == (len(before), zlib.crc32(before))
        before = path.read_bytes()


def test_checksum_goes_over_all_openings(tmp_path: Path) -> None:
    """A segment that several searches have written to is named right by the next one."""
    for number in range(12):
        _write(tmp_path, range(number, number + 1), segment_bytes=400)

    assert recover(tmp_path, repair=True).events == [_fact(i) for i in range(12)]
    assert len(_segments(tmp_path)) > 2


def test_segment_that_was_begun_and_not_written_gets_its_header(tmp_path: Path) -> None:
    """A crash right after the file was made: the next search writes what it follows."""
    _write(tmp_path, range(3))
    (tmp_path / "000003.jsonl").unlink(missing_ok=True)
    (tmp_path / "000002.jsonl").write_bytes(b"")
    _write(tmp_path, range(3, 4))

    assert b'"segment_began","previous":"000001.jsonl"' in (tmp_path / "000002.jsonl").read_bytes()
    recover(tmp_path, repair=False)


@pytest.mark.parametrize("cut", [1, 40, 150])
def test_torn_header_is_cut(tmp_path: Path, cut: int) -> None:
    """A new segment of which a part arrived is begun again."""
    _write(tmp_path, range(4))
    for path in _segments(tmp_path)[2:]:
        path.unlink()
    second = tmp_path / "000002.jsonl"
    second.write_bytes(second.read_bytes()[:cut])
    known = recover(tmp_path, repair=True).events
    _write(tmp_path, range(90, 91))

    assert recover(tmp_path, repair=False).events == [*known, _fact(90)]


def _from_another_copy(folder: Path) -> None:
    """Put a segment in, of as many records, that another search of the same length wrote."""
    other = folder.parent / "other"
    _write(other, range(100, 109))
    (other / "000001.jsonl").replace(folder / "000001.jsonl")


def _shortened(folder: Path) -> None:
    path = folder / "000001.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("harm", [_from_another_copy, _shortened])
def test_stranger_among_the_segments_is_refused(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """Each line of it is whole and rightly numbered, but the segment after it followed another one."""
    folder = tmp_path / "journal"
    _write(folder, range(9))
    harm(folder)
    first = (folder / "000001.jsonl").read_bytes()

    with pytest.raises(JournalCorrupt, match=r"000001.jsonl has \d+ bytes with checksum") as caught:
        recover(folder, repair=True)

    assert (folder / "000001.jsonl").read_bytes() == first
    assert "One of the two is damaged, or comes from another copy" in str(caught.value)
    assert caught.value.fields["path"] == str(folder / "000001.jsonl")


def test_link_in_a_segments_place_is_not_written_to(tmp_path: Path) -> None:
    """Who may write to the directory cannot make the journal write elsewhere."""
    target = tmp_path / "precious"
    target.write_bytes(b"text")
    (tmp_path / "000001.jsonl").symlink_to(target)

    with pytest.raises(OSError, match="symbolic links"):
        SegmentFile(tmp_path / "000001.jsonl")

    assert target.read_bytes() == b"text"
