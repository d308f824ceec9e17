"""How long do the guides take, whole process, with aiotune and with KerasTuner side by side?

KerasTuner runs the same scripts, rewritten back: its import, no asyncio.run. It
needs an environment with keras-tuner and tensorboard: --peer-python PATH.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import report, summary

ROOT = Path(__file__).parent.parent
GUIDES = ROOT / "tests/keras/guides"
RUNNER = ROOT / "tests/keras/run_guide.py"


def for_peer(script: Path, folder: Path) -> Path:
    """Write the script as KerasTuner's users write it."""
    text = script.read_text().replace("aiotune", "keras_tuner")
    text = re.sub(
        r"asyncio\.run\((tuner\.search\(.*?\))\)$", r"\1", text, flags=re.DOTALL | re.MULTILINE
    )
    target = folder / script.name
    target.write_text(text)
    return target


def seconds(python: str, script: Path) -> float:
    """Run a guide in an empty directory and return its wall time."""
    with tempfile.TemporaryDirectory() as cwd:
        started = time.perf_counter()
        subprocess.run(
            [python, str(RUNNER), str(script)],
            cwd=cwd,
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=3)
    parser.add_argument("--peer-python", help="interpreter of an environment with keras-tuner")
    parser.add_argument("--guides", default="failed_trials,hello_world,tune_anything")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.guides.split(","):
            script = GUIDES / f"{name}.py"
            seconds(sys.executable, script)  # warms the page cache
            peer = for_peer(script, Path(folder)) if options.peer_python else None
            if peer is not None:
                seconds(options.peer_python, peer)
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(options.n):  # alternating, so that both meet the same load
                ours.append(seconds(sys.executable, script))
                if peer is not None:
                    theirs.append(seconds(options.peer_python, peer))
            results[name] = {"aiotune": summary(ours, "s")}
            if theirs:
                results[name]["keras-tuner"] = summary(theirs, "s")
                ratio = [a / b for a, b in zip(ours, theirs, strict=True)]
                results[name]["aiotune / keras-tuner"] = summary(ratio, "ratio")
    report(__doc__ or "", results, not_measured="a GPU; cold bytecode")


if __name__ == "__main__":
    main()
