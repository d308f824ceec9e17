"""How much CPU does ``import aiotune`` cost, against an empty interpreter and against keras_tuner?"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

from _report import report, summary


def cpu_of(code: str) -> float:
    """Return the CPU seconds of a fresh interpreter that runs some code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument(
        "--peer", action="store_true", help="also measure keras_tuner, if installed"
    )
    options = parser.parse_args()
    cpu_of("import aiotune")
    empty = [cpu_of("pass") for _ in range(options.n)]
    ours = [cpu_of("import aiotune") for _ in range(options.n)]
    used = [cpu_of("import aiotune; aiotune.RandomSearch") for _ in range(options.n)]
    results = {
        "empty interpreter": summary(empty, "CPU s"),
        "import aiotune": summary(ours, "CPU s"),
        "import aiotune; aiotune.RandomSearch": summary(used, "CPU s"),
        "import alone": round(
            summary(ours, "CPU s")["median"] - summary(empty, "CPU s")["median"], 4
        ),
    }
    if options.peer:
        cpu_of("import keras_tuner")
        peer = [cpu_of("import keras_tuner") for _ in range(3)]
        results["import keras_tuner"] = summary(peer, "CPU s")
    report(__doc__ or "", results, not_measured="a cold page cache")


if __name__ == "__main__":
    main()
