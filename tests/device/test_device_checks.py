"""The checks of benchmarks/device, as far as they run without a GPU."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aiotune_gpu.fake import FakeProvider, fake_devices
from aiotune_gpu.fake_driver import FakeDriver, FakeGpu

ROOT = Path(__file__).parents[2]
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
CHECKS = ROOT / "benchmarks/device"
UUID = "GPU-00000000-0000-0000-0000-000000000000"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what imports one of the checks' modules, and forgets all of them afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(CHECKS))
    monkeypatch.syspath_prepend(str(CHECKS.parent))

    def imported(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield imported
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(CHECKS)):
            del sys.modules[name]


def run(script: str, *words: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(CHECKS / script), "--backend", BACKEND, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


# ── processes at work ──────────────────────────────────────────────────────


def test_a_child_answers_with_what_its_work_returned(load: Any) -> None:
    """The value crosses as JSON, from a process of its own with variables of its own."""
    children = load("_children")

    def work(number: int) -> list[Any]:
        return [number, os.environ["COLOUR"], os.getpid()]

    answer = children.run_job(children.Job(work, [3], {"COLOUR": "red"}))

    assert answer.value[:2] == [3, "red"]
    assert answer.value[2] != os.getpid()
    assert answer.failure is None


def test_a_child_that_raises_is_described_as_a_worker_would(load: Any) -> None:
    """The failure has its kind, so that the classifier is tried on real devices."""
    children = load("_children")

    def work() -> None:
        raise MemoryError("there is no more")

    failure = children.run_job(children.Job(work)).failure

    assert failure["kind"] == "out_of_memory"
    assert failure["message"] == "there is no more"


def test_a_child_that_dies_or_takes_too_long_is_an_answer(load: Any) -> None:
    """Neither a crash nor a hang of one piece of work stops the others."""
    children = load("_children")

    def die() -> None:
        os.write(1, b"last words\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def hang() -> None:
        os.read(os.pipe()[0], 1)

    jobs = [children.Job(die), children.Job(hang, seconds=0.2), children.Job(os.getpid)]
    answers = {job.work: answer for job, answer in children.run_jobs(jobs, 2)}

    assert answers[die].failure["exit"] == -signal.SIGKILL
    assert "last words" in answers[die].failure["log"]
    assert "more than 0 s" in answers[hang].failure["message"]
    assert answers[os.getpid].failure is None


def test_work_that_yields_waits_to_be_told(load: Any) -> None:
    """So the caller can look at the device while the process holds something."""
    children = load("_children")

    def work() -> Iterator[str]:
        yield "first"
        yield "second"

    with children.Child(children.Job(work)) as child:
        assert child.said() == "first"
        assert not child.readable(0.05)
        child.go_on()
        assert child.said() == "second"


def test_nothing_starts_after_the_end(load: Any) -> None:
    """Whoever runs out of time is left with what was measured."""
    children = load("_children")

    assert list(children.run_jobs([children.Job(os.getpid)], 1, until=0.0)) == []


def test_the_stand_in_sees_memory_come_and_go(load: Any) -> None:
    """A child holds memory of the stand-in device while it lives, and not a moment longer."""
    children, stand_in = load("_children"), load("_stand_in").StandIn()
    uuid = stand_in.present[0].uuid

    def work() -> Iterator[int]:
        held = bytearray(os.urandom(1 << 16) * 1024)
        yield len(held)

    before = stand_in.memory(uuid).used
    with children.Child(children.Job(work)) as child:
        child.said()
        during = stand_in.memory(uuid).used
        assert child.pid in [process.pid for process in stand_in.processes(uuid)]
        child.kill()
        child.reap()
        after = stand_in.memory(uuid).used

    assert during - before >= 64 << 20
    assert after - before < 32 << 20


# ── the checks themselves ──────────────────────────────────────────────────


def test_a_kill_frees_what_was_held() -> None:
    """A whole check, on the CPU: fork, hold, compute, kill, watch."""
    results = run("killing.py", "--dry-run")["results"]

    assert [row["held"] >= 256 << 20 for row in results["data"]["runs"]] == [True, True]
    assert [row["what"] for row in results["findings"] if row["holds"] is False] == []


def test_the_driver_is_asked_everything(tmp_path: Path) -> None:
    """Against a stand-in for NVML: what it knows has a time, what it lacks is a refusal."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make the stand-in for NVML with")
    code = ROOT / "tests/contract/fake_nvml.c"
    library = tmp_path / "libnvidia-ml.so.1"
    soname = "-Wl,-soname,libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", soname, "-o", library, code], check=True)
    state = tmp_path / "nvml"
    FakeDriver(state, [FakeGpu(UUID, used=3 << 30)])

    results = run("driver_calls.py", FAKE_NVML_STATE=str(state), LD_LIBRARY_PATH=str(tmp_path))[
        "results"
    ]

    assert results["dry"] is False
    assert results["data"]["memory v2"]["median ms"] < 100
    assert "refused" in results["data"]["accounting mode"]
    assert str(3 << 30) in results["data"]["provider: memory"]["answer"]


def test_a_check_that_fails_costs_no_other_its_row(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that cannot start and one that is out of time are rows; the rest is measured."""
    driver = load("run_all")
    checks = [driver.Check("missing", 5), driver.Check("driver_calls", 30)]
    monkeypatch.setattr(driver, "CHECKS", checks)
    words = ["run_all", "--dry-run", "--backend", "tensorflow", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)

    code = driver.main()
    found = json.loads((tmp_path / "device.json").read_text())

    assert code == 1
    assert "ended with 2" in found["tensorflow missing"]["error"]
    assert {row["holds"] for row in found["tensorflow driver_calls"]["findings"]} == {True, None}
    assert "1 checks did not finish: tensorflow missing" in capsys.readouterr().out


def test_what_no_time_is_left_for_is_said(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that could not run is not silently missing."""
    driver = load("run_all")
    monkeypatch.setattr(driver, "CHECKS", [driver.Check("estimate", 200)])
    monkeypatch.setattr(sys, "argv", ["run_all", "--seconds", "30", "--out", str(tmp_path)])

    assert driver.main() == 1
    (found,) = json.loads((tmp_path / "device.json").read_text()).values()
    assert "no time left" in found["error"]


def test_the_way_of_packing_is_judged_by_what_was_lost(load: Any) -> None:
    """A trial that completes alone and fails beside others is lost; one that never fits is not."""
    packing = load("packing")

    def arm(at_once: int, statuses: list[str], beyond: int | None) -> Any:
        return packing.Arm(at_once, 10.0, statuses, 3, 1, at_once, 0, beyond, [])

    lab = load("_lab").Lab("", "torch", False, 0.0, None, None)
    packing._judge(
        lab,
        "small",
        [
            arm(1, ["COMPLETED", "COMPLETED", "FAILED"], -5),
            arm(2, ["COMPLETED", "FAILED", "FAILED"], 7 << 20),
        ],
    )

    assert {row["what"]: (row["measured"], row["holds"]) for row in lab.findings} == {
        "small: trials lost that complete alone": ("1", False),
        "small: out of memory, of 100 packed attempts": ("33.3", None),
        "small: MiB beyond what an attempt was given": ("7", False),
    }


def test_a_check_holds_the_number_that_its_name_says(load: Any) -> None:
    """The momentary need of an optimizer may be less than assumed, and hardly more."""
    estimate, children = load("estimate"), load("_children")

    def k(value: float) -> bool:
        answer = children.Answer({"k": value, "gradients": 1 << 20})
        return bool(estimate._k(answer, 3.0)[1])

    assert [k(2.0), k(3.4), k(3.6)] == [True, True, False]


def test_estimates_are_judged_by_error_and_by_what_was_too_low(load: Any) -> None:
    """A tenth too low is near, and covered by the margin; twice too low is neither."""
    estimate, lab = load("estimate"), load("_lab").Lab("", "torch", False, 0.0, None, None)
    lab.data["failed"] = []
    rows = [
        {
            "backend": "torch",
            "family": "dense",
            "size": size,
            "batch": 32,
            "peak": 10 * size << 30,
            "formula": 9 * size << 30,
            "traced": 5 * size << 30,
            "state": 1 << 30,
            "weigh_seconds": 0.1,
            "trace_seconds": 1.0,
        }
        for size in range(1, 8)
    ]

    estimate.judge(lab, rows)

    holds = {row["what"]: row["holds"] for row in lab.findings}
    assert holds["weighed: median error"] is True
    assert holds["weighed, cold, x 1.3: too low"] is True
    assert holds["weighed, learned from the family's others: too low"] is True
    assert holds["traced: median error"] is False
    assert holds["traced, cold, x 1.1: too low"] is False
    assert holds["peaks below what aiotune says is the least"] is True


def test_the_driver_is_let_go_of_before_a_fork(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child begins with NVML as a trial does, and the next question opens it again here."""
    children, driver = load("_children"), load("_driver")
    opened: list[FakeProvider] = []

    def open_one() -> FakeProvider:
        opened.append(FakeProvider(fake_devices(1)))
        return opened[-1]

    monkeypatch.setattr(driver, "NvmlProvider", open_one)
    nvml = driver.ForkableNvml()
    (device,) = nvml.devices()

    answer = children.run_job(children.Job(lambda: [provider.closed for provider in opened]))
    memory = nvml.memory(device.uuid)

    assert answer.value == [True]
    assert [provider.closed for provider in opened] == [True, False]
    assert memory.total == device.total_bytes
