"""Does a fork of a process that has imported Keras train on the device, and leave that process clean?

Ten forks in turn, four at once, and one from a process that let torch ask CUDA
whether there is a device: that one is expected to fail.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from typing import Any

import _backend
from _children import Child, Job, run_job, run_jobs
from _lab import Lab, begin

IN_TURN, AT_ONCE = 10, 4


def train(asked: float) -> dict[str, Any]:
    """Train on the device; the times are seconds from when the process was asked for."""
    born = time.monotonic() - asked
    _backend.touch()
    ready = time.monotonic() - asked
    loss = _backend.fit_small()
    trained = time.monotonic() - asked
    return {
        "born": born,
        "ready": ready,
        "trained": trained,
        "loss": loss,
        "visible": _backend.visible(),
    }


def hold() -> Iterator[int]:
    """Keep a context until told to go on."""
    _backend.multiply()
    yield 0


def fork_after_asking_cuda() -> dict[str, Any]:
    """Ask CUDA for devices as torch does without NVML, and let a fork of this process train.

    It ends the fork by itself: a driver that was forked may never return.
    """
    import torch

    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    there = torch.cuda.is_available()
    return {"there": there, "fork": run_job(Job(train, [time.monotonic()], seconds=20.0)).text}


def in_turn(lab: Lab) -> None:
    answers = []
    for number in range(3 if lab.dry else IN_TURN):
        job = Job(train, [time.monotonic()], lab.environment, 90.0, f"in turn {number}")
        answers.append(run_job(job))
    note(lab, "in turn", answers)


def at_once(lab: Lab) -> None:
    number = 2 if lab.dry else AT_ONCE
    jobs = [
        Job(train, [time.monotonic()], lab.environment, 120.0, f"at once {n}")
        for n in range(number)
    ]
    note(lab, "at once", [answer for _, answer in run_jobs(jobs, number)])


def note(lab: Lab, how: str, answers: list[Any]) -> None:
    """Note how many trained, and how long it took them."""
    failed = [answer.text for answer in answers if answer.failure is not None]
    values = [answer.value for answer in answers if answer.failure is None]
    lab.data[how] = {"values": values, "failed": failed}
    sound = [v for v in values if math.isfinite(v["loss"])]
    lab.find(f"forks that trained, {how}", f"{len(sound)} of {len(answers)}", not failed)
    if values:
        losses = {round(v["loss"], 4) for v in values}
        lab.find(f"different losses of the same training, {how}", len(losses))
        seen = {len(v["visible"]) for v in values}
        lab.find(f"devices that a fork saw, {how}", seen, seen == {0 if lab.dry else 1})
        for stage in ("born", "ready", "trained"):
            times = sorted(v[stage] for v in values)
            middle = times[len(times) // 2]
            lab.find(f"seconds until {stage}, {how}", f"{middle:.3f} (worst {times[-1]:.3f})")


def clean(lab: Lab) -> None:
    """Compare the device with how it was before this process imported Keras."""
    listed, used = lab.before
    with Child(Job(hold, environment=lab.environment)) as child:
        child.said()
        with_one = lab.processes()
    lab.wait_until(lambda: lab.processes() <= listed, 5.0)  # the driver is slow to forget
    after = lab.processes()
    lab.data["processes"] = {"before": listed, "with one child": with_one, "after": after}
    listing = with_one > listed  # in some containers the driver lists none
    lab.find("the driver lists processes here", listing)
    lab.find(
        "processes on the device when only the nursery is left",
        after - listed,
        after <= listed if listing else None,
    )
    growth = lab.settled() - used
    lab.find("MiB on the device when only the nursery is left", growth >> 20, growth < 64 << 20)


def main() -> None:
    lab, _ = begin(__doc__)
    in_turn(lab)
    at_once(lab)
    clean(lab)
    if lab.backend == "torch":
        answer = run_job(Job(fork_after_asking_cuda, environment=lab.environment, seconds=60.0))
        value = answer.value or {"fork": answer.text}
        lab.data["after asking CUDA"] = value
        lab.find("a fork after torch has asked CUDA itself", value["fork"] or "worked")
    lab.report("several devices; forks while another thread runs")


if __name__ == "__main__":
    main()
