"""How near are the weighed and the traced estimate to the peak of training, and how often too low?

The peaks are the host's, on the CPU: a stand-in for a GPU, which has other
kernels, another allocator and workspaces of its libraries. Back ends live in
environments of their own: --python PATH, as often as there are environments.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _report import quantile, report

from aiotune.memory import COLD_RATIO, FLOOR, Calibration, CalibrationKey

Row = dict[str, Any]

# Traced peaks are judged by one margin on all back ends; admission takes more on JAX since.
MARGINS = {"formula": COLD_RATIO, "traced": 1.1}
MEASURE = Path(__file__).with_name("_memory_measure.py")
# Imports nothing: asking must not cost what importing a back end does.
INSTALLED = """
import importlib.metadata, json
found = {d.name.lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
names = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}
versions = {b: next((found[n] for n in ns if n in found), None) for b, ns in names.items()}
print(json.dumps({b: v for b, v in versions.items() if v}))
"""
NOT_MEASURED = (
    "A GPU. These are peaks of resident memory on a CPU, which stand in for a GPU's: they show "
    "whether the arithmetic of variables, gradients and outputs is right, not what cuDNN, a "
    "driver's context, an allocator's rounding or a GPU's fusion add or save. "
    "Gaps in an allocator's heap: on TensorFlow and torch the C library gives back every freed block "
    "of 64 KiB at once, so a peak is what is alive, which flatters a trace that counts just that. "
    "memory_estimate_heap.json is the same of torch with gaps: there blocks under 4 MiB are kept. On "
    "JAX they always are, and compilation is not optimised. "
    "What libraries of the CPU take in a step (a convolution's scratch on JAX) is in the peaks, and in "
    "no trace. Kernels of torch with more than one thread. Models over 1 GiB. The spread between runs."
)


def measure(python: str, backend: str, arguments: list[str]) -> list[Row]:
    """Measure every case on one back end."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # sooner compiled, with equal buffers
        # What is large goes back to the kernel at once, what is small never: so what an
        # earlier model left does not hide what the next one takes.
        "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        "PYTHONPATH": str(MEASURE.parent.parent),
    }
    rows = []
    command = [python, str(MEASURE), *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            rows.append(json.loads(line))
            print(line, end="", file=sys.stderr, flush=True)
    if child.returncode:
        raise SystemExit(f"Measuring on {backend} ended with status {child.returncode}.")
    return rows


def installed(python: str) -> dict[str, str]:
    """Return the back ends of an interpreter, with their versions."""
    command = [python, "-c", INSTALLED]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    versions: dict[str, str] = json.loads(found)
    return versions


# ── what the rows say ──────────────────────────────────────────────────────


def summarised(rows: list[Row], predicted: str) -> dict[str, Any]:
    """Say how near a prediction is, and what reserving by it would have done.

    Args:
        rows: Of one back end.
        predicted: Which prediction: ``"formula"`` or ``"traced"``.
    """
    errors = [row[predicted] / row["peak"] - 1 for row in rows]
    return {
        "n": len(rows),
        "median absolute error": rounded(statistics.median(map(abs, errors))),
        "95 % absolute error": rounded(quantile([abs(e) for e in errors], 0.95)),
        "furthest below": furthest(rows, errors, min),
        "furthest above": furthest(rows, errors, max),
        "uncorrected": outcome(rows, predicted, [1.0] * len(rows)),
        f"cold, x {MARGINS[predicted]}": outcome(rows, predicted, [MARGINS[predicted]] * len(rows)),
        "learned from the family's others": outcome(*learned(rows, predicted)),
    }


def furthest(rows: list[Row], errors: list[float], which: Callable[..., int]) -> dict[str, Any]:
    at = which(range(len(rows)), key=errors.__getitem__)
    return {"error": rounded(errors[at]), **{k: rows[at][k] for k in ("family", "size", "batch")}}


def outcome(rows: list[Row], predicted: str, ratios: list[float]) -> dict[str, Any]:
    """Say how many peaks a reservation would have been too small for, and what it wastes.

    Unless said otherwise without the floor, which is larger than some of these models.
    """
    if not rows:
        return {"n": 0}
    reserved = [math.ceil(q * row[predicted]) for row, q in zip(rows, ratios, strict=True)]
    over = [size / row["peak"] - 1 for row, size in zip(rows, reserved, strict=True)]
    below = [size + FLOOR < row["peak"] for row, size in zip(rows, reserved, strict=True)]
    return {
        "n": len(rows),
        "unsafe": rounded(sum(excess < 0 for excess in over) / len(rows)),
        "most missing": rounded(max(0.0, -min(over))),
        "unsafe with the floor": rounded(sum(below) / len(rows)),
        "median reserved beyond the peak": rounded(statistics.median(over)),
    }


def learned(rows: list[Row], predicted: str) -> tuple[list[Row], str, list[float]]:
    """Return the rows whose family has enough others to learn from, and the ratios they teach.

    Peaks under the floor teach nothing, so these models stand for some that
    are many times as large: prediction and peak grow alike, and their ratio stays.
    """
    kept, ratios = [], []
    for row in rows:
        calibration, key = Calibration(), key_of(row)
        for other in rows:
            if other is not row and key_of(other) == key:
                times = math.ceil(FLOOR / other["peak"])
                calibration.observe(
                    key, predicted=times * other[predicted], peak=times * other["peak"], context=0
                )
        if calibration.count(key) >= Calibration.ENOUGH:
            kept.append(row)
            ratios.append(calibration.ratio(key))
    return kept, predicted, ratios


def key_of(row: Row) -> CalibrationKey:
    return CalibrationKey(row["family"], row["backend"], "cpu", "float32")


def rounded(number: float) -> float:
    return round(number, 3)


def by_family(rows: list[Row]) -> dict[str, Any]:
    """Return the median of prediction over peak, for each family."""
    families = dict.fromkeys(row["family"] for row in rows)
    return {
        family: {
            name: rounded(statistics.median(ratios))
            for name in ("formula", "traced")
            if (ratios := [r[name] / r["peak"] for r in rows if r["family"] == family and r[name]])
        }
        for family in families
    }


def results(rows: list[Row]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for backend in dict.fromkeys(row["backend"] for row in rows):
        own = [row for row in rows if row["backend"] == backend]
        traced = [row for row in own if row["traced"] is not None]
        found[backend] = {"weighed": summarised(own, "formula")}
        if traced:
            found[backend]["traced"] = summarised(traced, "traced")
            if len(traced) < len(own):
                found[backend]["weighed, of those traced"] = summarised(traced, "formula")
        found[backend]["prediction / peak"] = by_family(own)
        found[backend]["seconds"] = {
            name: rounded(statistics.median(row[f"{name}_seconds"] for row in own))
            for name in ("weigh", "trace")
        }
        found[backend]["peaks below the least"] = sum(row["peak"] < row["state"] for row in own)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", help="an interpreter; default: this one")
    parser.add_argument("--family", action="append", default=[], help="default: all twelve")
    parser.add_argument("--sizes", type=int, default=3, help="how many of each family's three")
    parser.add_argument("--rows", help="what _memory_measure.py printed, instead of measuring")
    options = parser.parse_args()
    pythons = options.python or [sys.executable]
    versions = {python: installed(python) for python in pythons}
    if options.rows:
        rows = [json.loads(line) for line in Path(options.rows).read_text().splitlines()]
    else:
        arguments = [f"--sizes={options.sizes}", *options.family]
        rows = [
            row
            for p in pythons
            for backend in versions[p]
            for row in measure(p, backend, arguments)
        ]
    found = {backend: v for own in versions.values() for backend, v in own.items()}
    report(
        __doc__ or "",
        {"back ends": found, **results(rows), "rows": rows},
        not_measured=NOT_MEASURED,
    )


if __name__ == "__main__":
    main()
