"""A look at a whole project: every kind of trouble is named, with what to do, and mended if that is safe."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from aiotune._disk import sha256_of
from aiotune.checkup import Finding, _files, examine, mend
from aiotune.cli import main
from aiotune.errors import ProjectLocked
from aiotune.events import AttemptStarted, Event, SearchStarted, TrialCreated, TrialEnded
from aiotune.status import TrialStatus
from aiotune.store import Layout, open_project
from aiotune.store import _journal as journal_module
from aiotune.store._lock import ProjectLock
from aiotune.wire import Done, sealed, write_result

WEIGHTS = b"weights"
OPEN_ATTEMPT = "1-01-cafe"


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Give a project with an ended trial that left weights, and one whose tuner died."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 300)
    layout = Layout(tmp_path, "p")
    weights = layout.trial_dir("0") / "checkpoint.weights.h5"
    events: list[Event] = [
        SearchStarted(
            oracle="RandomSearchOracle",
            objective=[{"name": "loss", "direction": "min"}],
            seed=0,
            max_trials=2,
        ),
        TrialCreated(trial_id="0", index=0, values={}),
        AttemptStarted(trial_id="0", attempt=1, attempt_id="0-01-cafe"),
    ]
    asyncio.run(_record(layout, events))
    weights.parent.mkdir(mode=0o700)
    private(weights, WEIGHTS)
    events = [
        TrialEnded(
            trial_id="0",
            status=TrialStatus.COMPLETED,
            values={},
            score=0.5,
            files={weights.name: sha256_of(weights)},
        ),
        TrialCreated(trial_id="1", index=1, values={}),
        AttemptStarted(trial_id="1", attempt=1, attempt_id=OPEN_ATTEMPT),
    ]
    asyncio.run(_record(layout, events))
    layout.attempt_dir("1", 1).mkdir(mode=0o700, parents=True)
    layout.trial_dir("1").chmod(0o700)
    return layout


async def _record(layout: Layout, events: list[Event]) -> None:
    store = await open_project(layout)
    for event in events:
        await store.append(event)
    await store.aclose()


def private(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


def found(layout: Layout, about: str) -> list[Finding]:
    return [finding for finding in examine(layout).findings if finding.about == about]


def faults(layout: Layout) -> list[str]:
    return [finding.line() for finding in examine(layout).findings if finding.is_fault]


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode) for p in paths}


def test_a_whole_project_has_no_fault(layout: Layout) -> None:
    """How many records, trials and openings there are is said; a repair changes nothing but the lock's text."""
    before = tree(layout.project_dir)
    looked, aside = mend(layout)

    assert (faults(layout), looked.whole, aside) == ([], True, None)
    told = "\n".join(finding.line() for finding in looked.findings)
    assert "records, and every one of them is whole" in told
    assert "2 trials, 1 of them ended. " not in told
    assert "It was opened 2 times, last by aiotune" in told
    assert before.keys() == tree(layout.project_dir).keys()
    assert {k: v for k, v in before.items() if k != "LOCK"} == {
        k: v for k, v in tree(layout.project_dir).items() if k != "LOCK"
    }


def _flipped(layout: Layout) -> None:
    private(layout.checkpoint("0"), b"weightz")


def _result(layout: Layout) -> None:
    private(layout.result_file("1", 1), b"00000000 {}\n")


def _resume(layout: Layout) -> None:
    private(layout.trial_dir("1") / "resume.json", b"{}")


def _state(layout: Layout) -> None:
    private(layout.tuner_state("tuner0"), b'{"memo')


def _lock(layout: Layout) -> None:
    layout.lock_file.unlink()
    layout.lock_file.symlink_to("/etc/passwd")


def _group(layout: Layout) -> None:
    layout.project_dir.chmod(0o770)


def _journal(layout: Layout) -> None:
    data = bytearray(layout.segment(1).read_bytes())
    data[60] ^= 1
    layout.segment(1).write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "about", "told"),
    [
        (
            _flipped,
            "checkpoints",
            r"trial_0/checkpoint\.weights\.h5 is not what its trial has left",
        ),
        (_result, "results", r"trial_1/attempt-01/result\.json is damaged\. The trial runs again"),
        (_resume, "checkpoints", r"trial 1 was to go on from is damaged\. It begins anew"),
        (_state, "state", r"tuner0\.json, the state .* Remove it"),
        (_lock, "lock", r"is a link .* Remove it"),
        (_group, "owner", r"may be written to by its group.*chmod g-w"),
        (_journal, "journal", r"is damaged at byte"),
    ],
)
def test_each_fault_is_named_and_mended(
    layout: Layout, harm: Callable[[Layout], None], about: str, told: str
) -> None:
    """One finding says what is wrong and what to do; looking changes nothing, a repair removes nothing."""
    harm(layout)
    before = tree(layout.project_dir)
    named = [
        line for finding in found(layout, about) if finding.is_fault for line in [finding.line()]
    ]
    assert tree(layout.project_dir) == before
    mend(layout)
    after = tree(layout.project_dir)

    assert re_search(told, named)
    assert faults(layout) == []
    contents = {data for data, _ in after.values()}
    lost = {name for name, (data, _) in before.items() if data not in contents}
    assert lost <= {"LOCK"}, "every byte is still somewhere"


def re_search(pattern: str, lines: list[str]) -> bool:
    import re

    return any(re.search(pattern, line) for line in lines)


def test_a_mended_project_keeps_what_was_in_the_way(layout: Layout) -> None:
    """Damaged files lie below damaged-*, under their own names, and are found there afterwards."""
    _flipped(layout)
    _, aside = mend(layout)

    assert aside is not None
    assert (aside / "trial_0" / "checkpoint.weights.h5").read_bytes() == b"weightz"
    assert [f.path for f in found(layout, "leftovers")] == [aside]


def test_a_result_that_waits_is_no_fault(layout: Layout) -> None:
    """The next search takes it over; a repair leaves it where it is."""
    done = Done(metrics={"loss": 0.1}, best_step=0, executions=[], values={}, entries=[])
    write_result(layout.result_file("1", 1), done)
    mend(layout)
    (finding,) = found(layout, "results")

    assert not finding.is_fault
    assert "Trial 1 has finished" in finding.line()
    assert layout.result_file("1", 1).exists()


def test_an_interrupted_training_that_is_whole_is_no_fault(layout: Layout) -> None:
    """Its state matches the checksum beside it."""
    state = layout.trial_dir("1") / "resume-0-1.weights.h5"
    private(state, WEIGHTS)
    body = json.dumps({"state": state.name, "sha256": sha256_of(state)}).encode()
    private(layout.trial_dir("1") / "resume.json", sealed(body))

    assert [f.is_fault for f in found(layout, "checkpoints")] == [False]


def test_weights_that_were_overtaken_are_not_missed(layout: Layout) -> None:
    """Only the best are kept; but a folder that is gone is told."""
    layout.checkpoint("0").unlink()
    assert faults(layout) == []
    layout.trial_dir("0").rmdir()

    assert re_search("folder trial_0 is missing", faults(layout))


def test_leftovers_are_named_and_put_aside(layout: Layout) -> None:
    """Half-written files, snapshots that do not match, and folders of nobody."""
    private(layout.trial_dir("0") / ".partial-00ff00ff.checkpoint.weights.h5", b"half")
    private(layout.journal_dir / "000001.snapshot", b"none")
    layout.trial_dir("77").mkdir(mode=0o700)
    told = [finding.line() for finding in examine(layout).findings]
    mend(layout)

    assert re_search(r"trial_0/\.partial-00ff00ff\S+ was not finished", told)
    assert re_search(r"000001\.snapshot does not match its segment", told)
    assert re_search(r"no trial of the folder trial_77", told)
    assert layout.trial_dir("77").exists()
    assert list(layout.trial_dir("0").glob(".partial*")) == []
    assert len(list(layout.project_dir.glob("damaged-*/trial_0/.partial-*"))) == 1


def test_what_others_may_read_is_made_private(layout: Layout) -> None:
    """As after a copy without the modes."""
    layout.checkpoint("0").chmod(0o644)
    (finding,) = found(layout, "files")
    mend(layout)

    assert "Others may read or write trial_0/checkpoint.weights.h5." in finding.line()
    assert layout.checkpoint("0").stat().st_mode & 0o777 == 0o600


def test_a_held_project_is_looked_at_and_not_mended(layout: Layout) -> None:
    """Who holds it is said, without touching the lock; its open attempt is no leftover."""
    lock = ProjectLock(layout.lock_file)
    try:
        (finding,) = found(layout, "lock")
        with pytest.raises(ProjectLocked):
            mend(layout)
    finally:
        lock.release()

    assert not finding.is_fault
    assert f"A search holds the project: process {os.getpid()} on " in finding.line()
    assert found(layout, "lock") == []


def test_a_process_that_was_left_is_named_and_ended(layout: Layout) -> None:
    """It carries the mark of an attempt that the journal shows open, and nobody holds the project."""
    program = "import sys; sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "AIOTUNE_ATTEMPT": OPEN_ATTEMPT},
        stdin=subprocess.PIPE,
    )
    try:
        (finding,) = found(layout, "processes")
        mend(layout)
        process.wait(timeout=10)
        is_gone = not psutil.pid_exists(process.pid)
    finally:
        process.kill()
        process.communicate()

    assert f"Process {process.pid} of attempt {OPEN_ATTEMPT} still runs" in finding.line()
    assert is_gone
    assert found(layout, "processes") == []


def test_little_space_is_told(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search waits when there is none, so it is no fault."""
    monkeypatch.setattr(_files, "free_bytes", lambda path: 5 << 20)
    (finding,) = found(layout, "disk")

    assert (finding.is_fault, "5 MiB are free" in finding.line()) == (False, True)


def test_a_program_is_told_the_same_as_people(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--json`` prints one object; the code is 3 while something is wrong, and 0 when it was mended."""
    _flipped(layout)
    codes = [
        main(["doctor", str(layout.project_dir), "--json", *more]) for more in ([], ["--repair"])
    ]
    before, after = map(json.loads, capsys.readouterr().out.splitlines())

    assert codes == [3, 0]
    assert (before["whole"], after["whole"], after["before"]["whole"]) == (False, True, False)
    assert [f["about"] for f in before["findings"] if f["weight"] == "fault"] == ["checkpoints"]
    assert Path(after["put_aside"]).is_dir()


def test_a_lock_of_another_disk_is_not_taken_for_the_projects(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two disks may have a file of the same number; the device, or who has the file open, decides."""
    info = layout.lock_file.stat()
    own = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}"
    monkeypatch.setattr(_files, "_LOCKS", tmp_path / "locks")

    def held(device: str) -> int | None:
        line = f"1: FLOCK  ADVISORY  WRITE {os.getpid()} {device}:{info.st_ino} 0 EOF\n"
        (tmp_path / "locks").write_text(line)
        return _files.held_by(layout)

    there = [held(own), held("fe:1f")]
    with layout.lock_file.open():
        opened = held("fe:1f")

    assert (there, opened) == ([os.getpid(), None], os.getpid())


def test_a_users_own_json_is_neither_a_fault_nor_put_aside(layout: Layout) -> None:
    """Only what is certainly a state is said to keep a search out; the rest is named and stays."""
    own = layout.project_dir / "best.json"
    private(own, b"[1, 2]")

    assert [(f.weight, f.mended_by) for f in found(layout, "state")] == [("note", "")]
    assert mend(layout)[1] is None
    assert own.read_bytes() == b"[1, 2]"
