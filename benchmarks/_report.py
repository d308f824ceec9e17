"""How every benchmark prints: one JSON object with median, spread, n and versions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ("quantile", "report", "summary")

_PACKAGES = ("aiotune", "keras", "tensorflow-cpu", "tensorflow", "keras-tuner", "anyio", "msgspec")


def quantile(values: Sequence[float], q: float) -> float:
    """Return the q-quantile (nearest rank) of a sample."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def summary(values: Sequence[float], unit: str) -> dict[str, Any]:
    """Summarise a sample: median, 5 % and 95 % quantiles, extremes and n."""
    return {
        "unit": unit,
        "median": round(statistics.median(values), 6),
        "p5": round(quantile(values, 0.05), 6),
        "p95": round(quantile(values, 0.95), 6),
        "p99": round(quantile(values, 0.99), 6),
        "min": round(min(values), 6),
        "max": round(max(values), 6),
        "n": len(values),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def report(question: str, results: dict[str, Any], *, not_measured: str) -> None:
    """Print what was asked, what was found and what was left out."""
    print(
        json.dumps(
            {
                "question": question,
                "results": results,
                "not_measured": not_measured,
                "machine": {
                    "cores": os.cpu_count(),
                    "load": [round(x, 2) for x in os.getloadavg()],
                    "python": platform.python_version(),
                    "system": platform.release(),
                },
                "versions": {p: v for p in _PACKAGES if (v := _version(p))},
                "commit": _commit(),
            },
            indent=2,
        )
    )
