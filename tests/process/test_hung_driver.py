"""A driver that hangs on one GPU takes neither the other one nor Ctrl-C away; real processes, no GPU."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CODE = HERE.parent / "contract" / "fake_nvml.c"
NAME = "libnvidia-ml.so.1"
A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"
_PATIENCE = 90.0
_GRACE = 1.0


def until(what: Callable[[], bool]) -> None:
    over = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < over
        threading.Event().wait(0.02)


def seen(folder: Path) -> list[tuple[str, float]]:
    file = folder / "seen.jsonl"
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [(uuid, at) for uuid, at in map(json.loads, whole)]


def logged(folder: Path, event: str) -> list[dict[str, object]]:
    lines = (folder / "p" / "events.log").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def test_a_hung_driver_holds_up_neither_the_other_gpu_nor_ctrl_c(tmp_path: Path) -> None:
    """Trials on the other GPU go on at once, the hung one is told, and Ctrl-C ends all within its grace."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make the stand-in for NVML with")
    command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{NAME}", "-o", str(tmp_path / NAME)]
    subprocess.run([*command, str(CODE)], check=True)
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(tmp_path),
        "FAKE_NVML_STATE": str(tmp_path / "nvml"),
    }
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    program = subprocess.Popen(
        [sys.executable, str(HERE / "search_on_hung_gpus.py"), str(tmp_path)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until(lambda: (tmp_path / "seen.jsonl").exists() and B in dict(seen(tmp_path)))
        hung = dict(seen(tmp_path))[B]
        until(lambda: sum(at > hung + 6.0 for _, at in seen(tmp_path)) >= 8)
        interrupted = time.monotonic()
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=_PATIENCE)
        took = time.monotonic() - interrupted
    finally:
        program.kill()
        program.wait()

    on_a = [at for uuid, at in seen(tmp_path) if uuid == A and at > hung]
    gaps = [later - earlier for earlier, later in zip([hung, *on_a], on_a, strict=False)]
    sys.stdout.write(f"longest gap {max(gaps):.2f} s, Ctrl-C {took:.2f} s\n")  # pytest -s shows it
    assert b"The search was interrupted" in errors
    assert took <= _GRACE + 3.0
    assert max(gaps) <= 6.0, "two seconds for the one question, the next look, and a busy machine"
    (told,) = logged(tmp_path, "device_hangs")
    assert told["device"] == B
    assert "did not return within 2 s" in str(told["reason"])
    assert {uuid for uuid, at in seen(tmp_path) if at > hung + 6.0} == {A}
