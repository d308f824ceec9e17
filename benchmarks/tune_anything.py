"""How long does "tune any function" take, 20 trials, whole process?"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import report, summary

SCRIPT = Path(__file__).parent.parent / "tests/keras/guides/tune_anything.py"


def seconds() -> float:
    """Run the script in an empty directory and return its wall time."""
    with tempfile.TemporaryDirectory() as cwd:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, str(SCRIPT)],
            cwd=cwd,
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10)
    options = parser.parse_args()
    seconds()
    runs = [seconds() for _ in range(options.n)]
    report(__doc__ or "", {"whole process": summary(runs, "s")}, not_measured="cold bytecode")


if __name__ == "__main__":
    main()
