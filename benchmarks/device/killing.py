"""How long after the SIGKILL of a process in mid-kernel does the driver show its memory as free?

A lease must not be given on before that. The process holds memory and
multiplies matrices without a pause.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import _backend
from _children import Child, Job
from _lab import GIB, MIB, Lab, begin

_NEARLY = 64 * MIB


def compute(size: int) -> Iterator[int]:
    """Hold memory, and compute from the first answer on until killed."""
    held = _backend.allocate(size)
    yield _backend.multiply(256 if _backend.only_cpu() else 8192)
    _backend.multiply(256 if _backend.only_cpu() else 8192, seconds=60.0)
    del held


def once(lab: Lab, size: int) -> dict[str, float | None]:
    """Kill one process; return seconds until it was reaped, and until its memory was free."""
    before = lab.settled()
    with Child(Job(compute, [size], lab.environment, 60.0)) as child:
        child.said()
        child.go_on()
        lab.wait_until(child.readable, 0.3)  # let it be in the middle of its work
        held = lab.used() - before
        killed = time.monotonic()
        child.kill()
        child.reap()
        reaped = time.monotonic() - killed
        free = lab.wait_until(lambda: lab.used() - before < _NEARLY, 30.0)
    return {
        "held": held,
        "reaped": reaped,
        "free": None if free is None else reaped + free,
    }


def main() -> None:
    lab, options = begin(__doc__, runs=5, gib=8)
    size = GIB // 4 if lab.dry else options.gib * GIB
    runs = [once(lab, size) for _ in range(2 if lab.dry else options.runs)]
    lab.data["runs"] = runs
    held = min(run["held"] or 0 for run in runs)
    lab.find("MiB held before the kill", int(held) >> 20, held >= size)
    reaped = [run["reaped"] or 0.0 for run in runs]
    lab.find("seconds until it was reaped, median", f"{statistics.median(reaped):.3f}")
    freed = [run["free"] for run in runs if run["free"] is not None]
    lab.find(
        "kills after which memory came back",
        f"{len(freed)} of {len(runs)}",
        len(freed) == len(runs),
    )
    if freed:
        text = f"{statistics.median(freed):.3f} (worst {max(freed):.3f})"
        lab.find("seconds until the memory was free, median", text, max(freed) < 5.0)
    lab.report("kills during a copy between host and device; kills of MPS clients")


if __name__ == "__main__":
    main()
