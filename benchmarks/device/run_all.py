"""Runs every check on a real GPU, prints one table and writes one file of JSON.

Each check is a process of its own with a time limit: one that hangs or dies
costs its own row, not the others'. The file is written anew after each check, so a
run that is cut short leaves what was found until then.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_GRACE = 20.0
_KEPT = 6000


@dataclass(frozen=True, slots=True)
class Check:
    """One script.

    Attributes:
        name: Of the script, without ``.py``; ``tests`` for pytest.
        seconds: What it may take; it stops by itself in time, and is killed 20 s later.
    """

    name: str
    seconds: float


# In this order: what the others build on first, what takes longest last.
CHECKS = (
    Check("driver_calls", 20),
    Check("forks", 90),
    Check("context", 40),
    Check("pinning", 60),
    Check("limits", 70),
    Check("killing", 40),
    Check("host_limits", 60),
    Check("slot_start", 60),
    Check("tests", 120),
    Check("packing", 170),
    Check("estimate", 300),
)
_LEAST = 20.0


def main() -> int:
    options = _options()
    started = time.monotonic()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    backends = options.backend.split(",")
    found: dict[str, dict[str, Any]] = {}
    checks = [check for check in CHECKS if not options.only or check.name in options.only]
    for backend in backends:
        for check in checks:
            if check.name == "driver_calls" and backend != backends[0] and not options.only:
                continue  # the same for every back end
            left = options.seconds - (time.monotonic() - started)
            result = run(check, backend, left, options)
            found[f"{backend} {check.name}"] = result
            _write(out / "device.json", found)
            show(f"{backend} {check.name}", result)
            if check.name == "forks" and _broken(result):
                print("Forks do not work here: the other checks start fresh interpreters.")
                os.environ["AIOTUNE_DEVICE_FRESH"] = "1"
    rows = [finding for result in found.values() for finding in result.get("findings", ())]
    failed = [row for row in rows if row["holds"] is False]
    unfinished = [name for name, result in found.items() if "error" in result]
    print(
        f"\n{len(rows)} findings, {len(failed)} not as they should be; "
        f"{len(unfinished)} checks did not finish: {', '.join(unfinished) or 'none'}"
    )
    print(f"{out / 'device.json'} holds all of it.")
    return 1 if failed or unfinished else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("KERAS_BACKEND", "torch")
    parser.add_argument("--backend", default=default, help="jax, torch, or both: jax,torch")
    parser.add_argument("--seconds", type=float, default=560.0, help="when to be finished")
    parser.add_argument("--only", action="append", help="one check; may be repeated")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, small")
    parser.add_argument("--out", default=os.environ.get("OUT", "device-results"))
    return parser.parse_args()


def run(check: Check, backend: str, left: float, options: argparse.Namespace) -> dict[str, Any]:
    """Run one check; return its findings, or what went wrong with it."""
    seconds = min(check.seconds, left - _GRACE)
    if seconds < min(_LEAST, check.seconds):
        return {"error": f"There was no time left for it: {left:.0f} s."}
    command = (
        _pytest(options) if check.name == "tests" else _script(check, backend, options, seconds)
    )
    started = time.monotonic()
    code, output, errors = _run(command, backend, seconds + _GRACE)
    took = round(time.monotonic() - started, 1)
    if check.name == "tests":
        return _of_tests(code, output, took)
    try:
        printed: dict[str, Any] = json.loads(output)
    except ValueError:
        return {"error": f"It ended with {code} after {took} s.", "tail": errors[-_KEPT:]}
    return {**printed["results"], "seconds": took, "versions": printed["versions"]}


def _script(
    check: Check, backend: str, options: argparse.Namespace, seconds: float
) -> Sequence[str]:
    words = [sys.executable, str(HERE / f"{check.name}.py"), "--backend", backend]
    return [*words, "--seconds", str(seconds), *(["--dry-run"] if options.dry_run else [])]


def _pytest(options: argparse.Namespace) -> Sequence[str]:
    marker = "not gpu" if options.dry_run else "gpu"
    # That one starts this script, which would start it, and so on.
    skipped = ["--deselect", "tests/device/test_device_checks.py"]
    words = [sys.executable, "-m", "pytest", "-q", "-m", marker, "-p", "no:cacheprovider"]
    return [*words, *skipped, "tests/device", "--tb=short"]


def _run(command: Sequence[str], backend: str, seconds: float) -> tuple[int, str, str]:
    paths = [str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        errors += f"\nIt was killed after {seconds:.0f} s."
    return process.returncode, output, errors


def _of_tests(code: int, output: str, took: float) -> dict[str, Any]:
    lines = output.strip().splitlines()
    summary = lines[-1] if lines else "no output"
    # 5: nothing was chosen, as where no test is for a machine without a GPU.
    finding = {"what": "tests/device", "measured": summary, "holds": code in {0, 5}}
    return {"findings": [finding], "seconds": took, "tail": output[-_KEPT:]}


def _broken(result: dict[str, Any]) -> bool:
    trained = [row for row in result.get("findings", ()) if row["what"].startswith("forks that")]
    return not trained or any(row["holds"] is False for row in trained)


def show(name: str, result: dict[str, Any]) -> None:
    """Print a check's rows of the table."""
    print(f"\n{name}  ({result.get('seconds', '-')} s)")
    if "error" in result:
        print(f"  !!   {result['error']}")
        print("\n".join(f"       {line}" for line in result.get("tail", "").splitlines()[-8:]))
    marks = {True: "ok", False: "NO", None: ""}
    for row in result.get("findings", ()):
        print(f"  {marks[row['holds']]:<3}  {row['what']:<64}  {row['measured'][:90]}")
    sys.stdout.flush()


def _write(path: Path, found: dict[str, Any]) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(found, indent=1))
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
