"""What of a journal must be the same in the simulated world and with real processes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiotune.testing.simulator._plan import Plan
from aiotune.testing.simulator._script import Script, ScriptedPlan
from aiotune.testing.simulator._simulate import Run

__all__ = ("DIFFERS", "by_trial", "likeness", "rehearse")

_SECONDS = re.compile(r"\bafter \d+(\.\d)? s\b")
_PLACE = re.compile(r"/\S*?/(?=trial_)")
_QUOTED_LOG = re.compile(r" Last lines of .*", re.DOTALL)


def _left_out(_: Any) -> Any:
    return "..."


def _number(value: Any) -> Any:
    assert isinstance(value, (int, float)), value
    return "a number"


def _perhaps_a_number(value: Any) -> Any:
    return None if value is None else _number(value)


def _without_random(attempt_id: str) -> str:
    return re.sub(r"-[0-9a-f]+$", "-...", attempt_id)


def _last_line(traceback: str) -> str:
    return traceback.rstrip().rpartition("\n")[2]


def _without_place(path: str) -> str:
    return "/".join(Path(path).parts[-3:])


def _sentence(message: str) -> str:
    return _PLACE.sub("", _QUOTED_LOG.sub("", _SECONDS.sub("after some seconds", message)))


DIFFERS: Mapping[str, Callable[[Any], Any]] = {
    # When.
    "t": _number,
    "m": _number,
    "at": _number,
    "opened": _number,
    "created": _number,
    "duration": _number,
    # What the disk made of it: how many records share a sync.
    "b": _number,
    # Who, and where.
    "pid": _number,
    "host": _left_out,
    "project_id": _left_out,
    "attempt_id": _without_random,
    "log_path": _without_place,
    # What the machine took for it.
    "peak_host_bytes": _perhaps_a_number,
    # Frames of the program; the exception itself is compared.
    "traceback": _last_line,
    # How many seconds it took, where its log is, and what a crash left there.
    "message": _sentence,
}
"""The fields that may differ, by name, and what of each must not. All others are compared as they are."""


def likeness(journal: bytes) -> list[str]:
    """Return a journal's records without what may differ, a line each, in order.

    Args:
        journal: All bytes of its segments.
    """
    return [
        json.dumps(_likeness(json.loads(line[9:])), sort_keys=False)
        for line in journal.splitlines()
    ]


def _likeness(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: DIFFERS.get(k, _likeness)(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_likeness(each) for each in value]
    return value


def by_trial(records: list[str]) -> dict[str | None, list[str]]:
    """Return the records of each trial in order, and under ``None`` the sorted others, without numbers."""
    found: dict[str | None, list[str]] = {}
    for line in records:
        record = json.loads(line)
        record.pop("seq")
        # What a search learns of its space, it learns from whoever is first.
        found.setdefault(record.get("trial_id"), []).append(json.dumps(record))
    found[None] = sorted(found[None])
    return found


def rehearse(script: Script) -> tuple[list[str], bytes, list[str]]:
    """Play a script in the simulated world.

    Returns:
        How each life of the tuner ended; the journal; what was wrong.
    """
    plan: Plan = ScriptedPlan.of(script)
    run = Run(plan)
    ends = [run.live() for _ in script.lives]
    run.judge()
    journal = b"".join(run.disk.data)
    run.disk.remove()
    return ends, journal, [str(violation) for violation in run.world.violations]
