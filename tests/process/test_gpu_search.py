"""Whole searches on GPUs that NVML tells of, real processes included, without a driver."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from aiotune import events
from aiotune.store import Layout, read_events

HERE = Path(__file__).parent
CODE = HERE.parent / "contract" / "fake_nvml.c"
NAME = "libnvidia-ml.so.1"
A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the stand-in and return its directory."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make the stand-in for NVML with")
    folder = tmp_path_factory.mktemp("nvml")
    soname = f"-Wl,-soname,{NAME}"
    command = [compiler, "-shared", "-fPIC", soname, "-o", str(folder / NAME), str(CODE)]
    subprocess.run(command, check=True)
    return folder


def search(folder: Path, library: Path, how: str) -> list[str]:
    """Run the search; return the statuses of its trials."""
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(library),
        "FAKE_NVML_STATE": str(folder / "nvml"),
    }
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    done = subprocess.run(
        [sys.executable, str(HERE / "search_on_fake_gpus.py"), str(folder), how],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    statuses: list[str] = json.loads(done.stdout.splitlines()[-1])
    return statuses


def logged(folder: Path, event: str) -> list[dict[str, object]]:
    lines = (folder / "p" / "events.log").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def test_every_worker_is_pinned_to_the_gpu_of_its_lease(tmp_path: Path, library: Path) -> None:
    """What a worker sees is what the journal says it was given, and both GPUs are used."""
    statuses = search(tmp_path, library, "run")

    started = {
        e.trial_id: (e.devices, e.reservation)
        for e in read_events(Layout(tmp_path, "p"))
        if isinstance(e, events.AttemptStarted)
    }
    seen = dict(map(json.loads, (tmp_path / "seen.jsonl").read_text().splitlines()))
    assert statuses == ["COMPLETED"] * 8
    assert {trial: [uuid] for trial, uuid in seen.items()} == {
        t: d for t, (d, _) in started.items()
    }
    assert {reservation for _, reservation in started.values()} == {3 << 30}
    assert set(seen.values()) == {A, B}


def test_a_gpu_that_falls_off_the_bus_costs_no_trial(tmp_path: Path, library: Path) -> None:
    """It is quarantined once; its trials are ended, and run on the other one, without a retry used up."""
    statuses = search(tmp_path, library, "break")

    (quarantined,) = logged(tmp_path, "device_quarantined")
    retries = logged(tmp_path, "trial_retry")
    last = {e["trial"]: e["device"] for e in logged(tmp_path, "trial_completed")}
    assert statuses == ["COMPLETED"] * 8
    assert (quarantined["device"], quarantined["devices_left"]) == (B, 1)
    assert {r["failure_kind"] for r in retries} == {"device_lost"}
    assert Counter(r["trial"] for r in retries).most_common(1)[0][1] == 1
    assert set(last.values()) == {A}


def test_a_wait_that_spins_on_a_gpu_that_does_not_work_is_a_stall(
    tmp_path: Path, library: Path
) -> None:
    """It keeps a core busy for half a minute, and its GPU does nothing: stall_timeout ends it."""
    statuses = search(tmp_path, library, "spin")

    (failed,) = logged(tmp_path, "trial_failed")
    assert Counter(statuses) == {"COMPLETED": 7, "FAILED": 1}
    assert failed["trial"] == "0"
    assert "stall_timeout" in str(failed["error"])
    (told,) = logged(tmp_path, "trial_stalled")
    assert isinstance(told["cpu_seconds"], float)
    assert told["cpu_seconds"] > 0.1  # on a loaded machine it gets but a part of a core
    assert "spin" in str(told["stacks"])
    assert isinstance(failed["seconds"], float)
    assert failed["seconds"] < 25  # it would have spun for 30
