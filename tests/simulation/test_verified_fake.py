"""The simulated world is like the real one: a script leaves the same journal in both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from aiotune.testing.simulator import planted
from aiotune.testing.simulator._likeness import DIFFERS, by_trial, likeness, rehearse
from aiotune.testing.simulator._script import SCRIPTS

PROGRAM = Path(__file__).with_name("scripted_search.py")

Played = Mapping[str, tuple[list[str], bytes]]


@pytest.fixture(scope="module")
def really(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play all scripts with real processes; give how each life of the tuner ended, and the journal."""
    directory = tmp_path_factory.mktemp("scripts")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(directory), *SCRIPTS],
        capture_output=True,
        text=True,
        check=True,
    )
    ends = json.loads(done.stdout)
    return {name: (ends[name], journal(directory / name.replace(" ", "-"))) for name in SCRIPTS}


def journal(directory: Path) -> bytes:
    segments = sorted((directory / "simulated" / "journal").glob("*.jsonl"))
    return b"".join(path.read_bytes() for path in segments)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_leaves_the_same_journal_in_both_worlds(name: str, really: Played) -> None:
    """Every record, every field and every sentence is equal, but for times, places and numbers of processes."""
    ends, simulated, wrong = rehearse(SCRIPTS[name])
    real_ends, real = really[name]

    assert wrong == []
    assert ends == real_ends
    if SCRIPTS[name].setup.slots == 1:
        assert likeness(simulated) == likeness(real)
    assert by_trial(likeness(simulated)) == by_trial(likeness(real))


@pytest.mark.parametrize("bug", ["retry_counted_twice", "nan_is_a_score", "spawn_before_intent"])
def test_a_difference_in_what_is_recorded_is_seen(bug: str) -> None:
    """What is left out of the comparison hides no other number, no other end and no other order."""
    script = SCRIPTS["one after the other"]
    _, right, _ = rehearse(script)
    with planted(bug):
        _, wrong, violations = rehearse(script)

    assert likeness(wrong) != likeness(right) or violations != []


def test_what_may_differ_is_named() -> None:
    """Times, places and numbers of processes are left out by the names of their fields, and nothing else."""
    _, records, _ = rehearse(SCRIPTS["killed"])
    names = {key for line in records.splitlines() for key in json.loads(line[9:])}

    kept = names - set(DIFFERS)
    assert {"seq", "type", "trial_id", "attempt", "metrics", "score", "values", "failure"} <= kept
    assert {"t", "m", "b", "at"} <= names & set(DIFFERS)
