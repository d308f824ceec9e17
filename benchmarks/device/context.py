"""How much memory does the driver take for a process beside the back end's own?

Stages of one process: forked, context made, first product of matrices, a small
model trained. At each one the device is read from outside.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import _backend
from _children import Child, Job
from _lab import MIB, Lab, begin

from aiotune.worker._peaks import device_peak

STAGES = ("forked", "context", "product", "trained")
DEFAULT = 600 * MIB
"""What aiotune takes a context to be before it has seen one."""


def stages() -> Iterator[dict[str, int]]:
    yield {"reserved": 0}
    _backend.touch()
    yield _backend.counters()
    _backend.multiply()
    yield _backend.counters()
    _backend.fit_small()
    peak = device_peak()
    told = {"told reserved": peak.reserved} if peak is not None else {}
    yield _backend.counters() | told


def measure(lab: Lab) -> list[dict[str, Any]]:
    """Return a row for each stage of one process."""
    before, listed = lab.settled(), lab.processes()
    rows: list[dict[str, Any]] = []
    with Child(Job(stages, environment=lab.environment)) as child:
        for stage in STAGES:
            counted = child.said()
            used = lab.settled() - before
            own = [p.used for p in lab.provider.processes(lab.device.uuid) if p.pid == child.pid]
            rows.append(
                {
                    "stage": stage,
                    "used": used,
                    "reserved": counted["reserved"],
                    "context": used - counted["reserved"],
                    "processes": lab.processes() - listed,
                    "told_for_pid": own[0] if own else None,
                    "counters": counted,
                }
            )
            child.go_on()
    return rows


def main() -> None:
    lab, options = begin(__doc__, runs=3)
    runs = [measure(lab) for _ in range(1 if lab.dry else options.runs)]
    lab.data["runs"] = runs
    for number, stage in enumerate(STAGES):
        median = statistics.median(run[number]["context"] for run in runs)
        lab.find(f"beside the back end's memory, {stage}", f"{median / MIB:.0f} MiB")
    trained = max(run[-1]["context"] for run in runs)
    if not lab.dry:
        lab.find("at most the 600 MiB assumed", f"{trained / MIB:.0f} MiB", trained <= DEFAULT)
        extra = runs[0][0]["processes"]
        listing = runs[0][-1]["processes"] > 0  # in some containers the driver lists none
        holds = extra == 0 if listing else None
        lab.find("processes on the device after a fork alone", extra, holds)
        reserved = runs[0][-1]["counters"].get("told reserved")
        counted = runs[0][-1]["counters"]["peak_reserved"]
        lab.find("aiotune tells the back end's own peak", reserved, reserved == counted)
    told = runs[0][-1]["told_for_pid"]
    lab.find("the driver tells memory by this process's pid", told is not None)
    lab.report("contexts with MPS; several devices")


if __name__ == "__main__":
    main()
