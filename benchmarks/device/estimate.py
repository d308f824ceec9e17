"""How near are the weighed and the traced estimate to the peak of training on the device?

Twelve families of models in two sizes, at three batch sizes each; then one dense network
with each optimizer, for what an update of the weights takes for a moment. The
peaks are the back end's own counters. The order is such that a run that ends
early has met every family.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import _backend
from _children import Answer, Job, run_jobs
from _lab import MIB, Lab, begin

TIMES = (1, 4, 16)
OPTIMIZERS = (
    *("SGD", "Adam", "AdamW", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Lion"),
    *("Muon", "Ftrl", "Adafactor", "Lamb"),
)
_NEAR = 0.20
"""What the median error of an estimate should stay under."""
_UNSAFE = 0.05
"""Of peaks beyond what was reserved, at most so many."""
_K_NEAR = 0.5

Row = dict[str, Any]


def weigh(family: str, size: int, batch: int) -> Row:
    """Weigh a model on the CPU, and apply the formula."""
    from _memory_measure import weighed
    from _memory_models import Case

    from aiotune.worker._cpu import on_the_cpu

    with on_the_cpu():
        return weighed(Case(family, size, batch))


def trace(family: str, size: int, batch: int) -> Row:
    """Trace a training step on the CPU."""
    from _memory_measure import traced
    from _memory_models import Case

    from aiotune.worker._cpu import on_the_cpu

    with on_the_cpu():
        return traced(Case(family, size, batch))


def peak(family: str, size: int, batch: int) -> Row:
    """Train on the device, and read the counters."""
    from _memory_measure import measured, train
    from _memory_models import Case

    case = Case(family, size, batch)
    if _backend.only_cpu():
        from aiotune.worker._cpu import on_the_cpu

        with on_the_cpu():
            return measured(case)
    train(case)
    counted = counters()
    return {"peak": counted["peak"], "reserved": counted["peak_reserved"], "counters": counted}


def counters() -> dict[str, int]:
    """Return the back end's counters.

    Raises:
        RuntimeError: It has none.
    """
    counted = _backend.counters()
    if not counted["peak"]:
        raise RuntimeError("The back end counts no memory of its device, so there is no peak.")
    return counted


def cases(lab: Lab) -> Iterator[tuple[str, int, int]]:
    """Return families, sizes and batch sizes; the first batch size of all families first."""
    from _memory_models import FAMILIES

    if lab.dry:
        for name, family in list(FAMILIES.items())[:2]:
            yield name, family.sizes[0], family.batches[0]
        return
    for times in TIMES:
        # Larger than what a CPU is asked to train, so that more than the floor is
        # needed; and two of them, since a family teaches from its sixth case on.
        for number in (-1, 0):
            for name, family in FAMILIES.items():
                yield name, 2 * family.sizes[number], family.batches[0] * times


def measured_rows(lab: Lab, at_once: int) -> list[Row]:
    """Return what is known of each case; a case of which a part failed is noted and left out."""
    rows: dict[tuple[str, int, int], Row] = {}
    blind = {"CUDA_VISIBLE_DEVICES": "-1"}

    def jobs() -> Iterator[Job]:
        for case in cases(lab):
            rows[case] = {"backend": lab.backend} | dict(
                zip(("family", "size", "batch"), case, strict=True)
            )
            label = repr(case)
            yield Job(peak, case, lab.environment, 120.0, label)
            yield Job(weigh, case, blind, 60.0, label)
            yield Job(trace, case, blind, 120.0, label)

    known = {repr(case): case for case in cases(lab)}
    failed: list[str] = lab.data.setdefault("failed", [])
    for job, answer in run_jobs(jobs(), at_once, lab.until - 30):
        if answer.failure is None:
            rows[known[job.label]] |= answer.value
        else:
            failed.append(f"{job.work.__name__} {job.label}: {answer.text}")
    return [row | {"traced": row.get("traced")} for row in rows.values() if _whole(row)]


def _whole(row: Row) -> bool:
    return {"peak", "formula", "trace_seconds"} <= row.keys()


def judge(lab: Lab, rows: list[Row]) -> None:
    """Note errors and unsafe shares, of the weighed and of the traced estimate."""
    from memory_estimate import results

    if not rows:
        lab.find("cases that were measured, weighed and traced", 0, holds=False)
        return
    found = results(rows)[lab.backend]
    lab.data["summary"], lab.data["rows"] = found, rows
    lab.find("cases that were measured, weighed and traced", len(rows))
    lab.find("parts of cases that failed", len(lab.data["failed"]))
    for name in ("weighed", "traced"):
        if name not in found:
            continue
        summary = found[name]
        error = summary["median absolute error"]
        lab.find(f"{name}: median error", f"{error:.1%}", None if lab.dry else error <= _NEAR)
        worst = summary["furthest below"]
        lab.find(f"{name}: furthest below", f"{worst['error']:.1%} ({worst['family']})")
        for how in [key for key in summary if key.startswith(("cold", "learned"))]:
            if not summary[how]["n"]:
                lab.find(f"{name}, {how}: too low", "no family has enough cases")
                continue
            unsafe = summary[how]["unsafe with the floor"]
            holds = None if lab.dry else unsafe <= _UNSAFE
            text = f"{unsafe:.1%} of {summary[how]['n']}"
            lab.find(f"{name}, {how}: too low", text, holds)
    below = found["peaks below the least"]
    lab.find("peaks below what aiotune says is the least", below, None if lab.dry else below == 0)


# ── what an update of the weights takes ────────────────────────────────────


def update_peak(optimizer: str, units: int) -> Row:
    """Train a dense network for two steps, and return what the update added, in gradients."""
    import contextlib

    import keras
    import numpy as np

    from aiotune.worker._cpu import on_the_cpu

    with on_the_cpu() if _backend.only_cpu() else contextlib.nullcontext():
        before = _backend.counters()["now"] if _backend.only_cpu() else 0
        layers = [keras.layers.Dense(units, use_bias=False) for _ in range(6)]
        model = keras.Sequential([keras.Input((units,)), *layers])
        model.compile(getattr(keras.optimizers, optimizer)(1e-4), "mse")
        x = np.zeros((4, units), "float32")
        for _ in range(2):
            model.train_on_batch(x, x)
        top = counters()["peak"] - before
    gradients = sum(variable.value.nbytes for variable in model.trainable_variables)
    slots = sum(variable.value.nbytes for variable in model.optimizer.variables)
    rest = top - 2 * gradients - slots
    return {"optimizer": optimizer, "peak": top, "gradients": gradients, "k": rest / gradients}


def optimizers(lab: Lab) -> None:
    """Compare the momentary need of each optimizer with the table of the estimate."""
    from aiotune.memory import transient_factor

    names = OPTIMIZERS[:2] if lab.dry else OPTIMIZERS
    units = 256 if lab.dry else 4096
    jobs = [Job(update_peak, [name, units], lab.environment, 90.0, name) for name in names]
    for job, answer in run_jobs(jobs, 1 if lab.dry else 4, lab.until):
        expected = transient_factor(lab.backend, job.label)
        lab.data.setdefault("optimizers", {})[job.label] = answer.value or answer.failure
        measured, holds = _k(answer, expected)
        what = f"{job.label}: gradients that an update takes ({expected:g} assumed)"
        lab.find(what, measured, None if lab.dry else holds)


def _k(answer: Answer, expected: float) -> tuple[str, bool]:
    if answer.failure is not None:
        return answer.text, False
    # The least is what counts: the estimate may be larger than it must.
    k = answer.value["k"]
    return f"{k:.2f}, of {answer.value['gradients'] / MIB:.0f} MiB", k <= expected + _K_NEAR


def main() -> None:
    lab, options = begin(__doc__, at_once=max(2, (os.cpu_count() or 2) // 2))
    until, lab.until = lab.until, lab.until - 0.2 * lab.left
    judge(lab, measured_rows(lab, 1 if lab.dry else options.at_once))
    lab.until = until
    optimizers(lab)
    lab.report("mixed precision; models that need most of the device; TensorFlow")


if __name__ == "__main__":
    main()
