"""Which limits of the host's memory can a process that trains on a device live with?

RLIMIT_DATA and RLIMIT_AS are set before the device is touched, so many GiB
above what the process has; and a process makes itself the kernel's first
choice when the host runs out of memory.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import _backend
from _children import Job, run_job
from _lab import GIB, Lab, begin

_STEPS = (1, 2, 4, 8, 16, 64, 256)
_KINDS = {"RLIMIT_DATA": resource.RLIMIT_DATA, "RLIMIT_AS": resource.RLIMIT_AS}
_ADJUSTMENT = Path("/proc/self/oom_score_adj")


def train_within(kind: str, gib: int) -> dict[str, float]:
    """Train with a limit of so many GiB above what the process has."""
    had = _backend.data_bytes() if kind == "RLIMIT_DATA" else _backend.address_bytes()
    limit = had + gib * GIB
    resource.setrlimit(_KINDS[kind], (limit, limit))
    _backend.touch()
    loss = _backend.fit_small()
    now = _backend.data_bytes() if kind == "RLIMIT_DATA" else _backend.address_bytes()
    return {"loss": loss, "grew": now - had}


def volunteer() -> dict[str, Any]:
    """Raise this process's score, and see whether it trains, and keeps it."""
    _ADJUSTMENT.write_text("500")
    loss = _backend.fit_small()
    return {"adjustment": int(_ADJUSTMENT.read_text()), "loss": loss}


def smallest(lab: Lab, kind: str) -> None:
    """Find the smallest step that training lives with."""
    for gib in _STEPS[:3] if lab.dry else _STEPS:
        if lab.left < 30:
            break
        answer = run_job(Job(train_within, [kind, gib], lab.environment, 60.0))
        lab.data[f"{kind} +{gib} GiB"] = answer.value or answer.failure
        if answer.failure is None:
            grew = answer.value["grew"] / GIB
            lab.find(f"{kind}: trains with", f"{gib} GiB more; it took {grew:.2f} GiB")
            return
    lab.find(f"{kind}: trains with", "none of the limits tried")


def main() -> None:
    lab, _ = begin(__doc__)
    for kind in _KINDS:
        smallest(lab, kind)
    answer = run_job(Job(volunteer, environment=lab.environment))
    lab.data["oom_score_adj"] = answer.value or answer.failure
    score = (answer.value or {}).get("adjustment")
    lab.find("oom_score_adj stays at 500 in training", answer.text or score, score == 500)
    lab.report("the kernel's choice itself: it would cost this machine a process")


if __name__ == "__main__":
    main()
