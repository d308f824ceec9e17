"""How many more trials an hour finish when several share a device, and what does it cost?

The same search with one trial at a time, and with 2, 4 and 8. Then again with
wide models on a device that another process has filled but for 12 GiB, so
that memory is what decides how many run.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from _children import Child, Job
from _lab import GIB, Lab, begin
from _searches import Arm, Workload, run_arm
from limits import keep

_ROOM = 12 * GIB
_WANTED = 2.0


def compare(lab: Lab, title: str, load: Workload, trials: int, arms: tuple[int, ...]) -> None:
    """Run a search in each way, and note how they compare with the first."""
    done: list[Arm] = []
    run_arm(lab, load, 1, 1)  # what is compiled and cached once is not the first arm's to pay
    for at_once in arms:
        if done and lab.left < 1.5 * done[0].seconds:
            lab.find(f"{title}: {at_once} at once", "no time left")
            continue
        arm = run_arm(lab, load, trials, at_once)
        done.append(arm)
        lab.data.setdefault(title, []).append(dataclasses.asdict(arm))
        gain = arm.per_hour / done[0].per_hour if done[0].per_hour else 0.0
        text = f"{arm.per_hour:.0f}, {gain:.2f} times, {arm.most_together} together"
        lab.find(f"{title}: trials an hour, {at_once} at once", text)
    _judge(lab, title, done)


def _judge(lab: Lab, title: str, done: list[Arm]) -> None:
    alone, packed = done[0], done[1:]
    lost = sum(
        with_others != "COMPLETED" and by_itself == "COMPLETED"
        for arm in packed
        for by_itself, with_others in zip(alone.statuses, arm.statuses, strict=False)
    )
    lab.find(f"{title}: trials lost that complete alone", lost, lost == 0)
    attempts = sum(arm.attempts for arm in packed)
    failed = sum(arm.out_of_memory for arm in packed)
    if attempts:
        lab.find(
            f"{title}: out of memory, of 100 packed attempts", f"{100 * failed / attempts:.1f}"
        )
    beyond = [arm.beyond for arm in done if arm.beyond is not None]
    if beyond:
        most = max(beyond)
        lab.find(f"{title}: MiB beyond what an attempt was given", most >> 20, most <= 0)
    else:
        lab.find(f"{title}: peaks told by attempts", "none")


@contextlib.contextmanager
def filled(lab: Lab) -> Iterator[None]:
    """Leave 12 GiB of the device, by a process of its own that was not forked from this one."""
    size = lab.provider.memory(lab.device.uuid).free - _ROOM
    job = Job(keep, [size], lab.environment, lab.left + 60.0, "ballast")
    with Child(job, fresh=True) as child:
        child.said()
        yield


def main() -> None:
    lab, options = begin(__doc__, forks=False, trials=16, epochs=10)
    small = Workload(epochs=options.epochs)
    if lab.dry:
        compare(lab, "small", dataclasses.replace(small, samples=256, epochs=2), 4, (1, 2))
        lab.report("everything: this was the CPU")
        return
    compare(lab, "small", small, options.trials, (1, 2, 4, 8))
    gains = [arm["statuses"].count("COMPLETED") / arm["seconds"] for arm in lab.data["small"]]
    best = max(gains) / gains[0] if gains[0] else 0.0
    lab.find("small: best gain by sharing", f"{best:.2f} times", best >= _WANTED)
    wide = Workload(features=1024, least=2048, most=8192, step=1024, samples=2048, epochs=2)
    if lab.left < 60 or lab.provider.memory(lab.device.uuid).free < _ROOM:
        lab.find("12 GiB: trials an hour", "no time, or no 12 GiB, left")
    else:
        with filled(lab):
            compare(lab, "12 GiB", wide, 12, (1, 4))
    lab.report("MPS; several devices; trials that wait for their data")


if __name__ == "__main__":
    main()
