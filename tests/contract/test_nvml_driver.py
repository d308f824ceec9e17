"""What NVML tells, and how it fails, beyond the contract that all providers share."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from aiotune_gpu import (
    GIB,
    MIB,
    ComputeMode,
    DeviceHealth,
    DeviceLost,
    DeviceProcess,
    GpuError,
    NvmlProvider,
    NvmlUnavailable,
)
from aiotune_gpu.fake_driver import LOST, RESET_REQUIRED, FakeDriver

A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"
C = "GPU-22222222-2222-2222-2222-222222222222"
M1, M2 = "MIG-33333333", "MIG-44444444"
NOT_FOUND, NOT_LOADED, UNINITIALIZED, MISMATCH, UNKNOWN = 6, 9, 1, 18, 999
DENIED, NO_INTERRUPTS = 4, 11


# ── which devices there are ────────────────────────────────────────────────


def test_instances_stand_in_for_their_gpu(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """A GPU in MIG mode is listed as its instances, under its index, with their numbers."""
    driver.change(C, mode="exclusive")

    _, _, first, second = nvml.devices()

    assert (first.uuid, first.index, first.mig_parent, first.gpu_instance) == (M1, 2, C, 1)
    assert (second.uuid, second.index, second.mig_parent, second.gpu_instance) == (M2, 2, C, 2)
    assert (first.total_bytes, first.compute_instance) == (8 * GIB, 0)
    assert first.mode is ComputeMode.EXCLUSIVE


def test_a_gpu_in_mig_mode_without_instances_is_itself(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """Nobody has made an instance yet."""
    driver.change(C, instances=())

    assert [d.uuid for d in nvml.devices()] == [A, B, C]


def test_who_may_use_a_gpu_is_read(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """The three modes have names of their own."""
    driver.change(A, mode="exclusive")
    driver.change(B, mode="prohibited")

    assert [d.mode for d in nvml.devices()] == [
        ComputeMode.EXCLUSIVE,
        ComputeMode.PROHIBITED,
        ComputeMode.DEFAULT,
        ComputeMode.DEFAULT,
    ]


def test_cpus_are_those_of_the_mask(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """Bit by bit, whichever CPUs this machine has."""
    driver.change(A, cpus=0b1011)

    assert nvml.devices()[0].cpus == {0, 1, 3}


@pytest.mark.parametrize(
    ("in_sysfs", "nodes", "expected"),
    [
        ("1\n", 0b1, 1),
        ("-1\n", 0b100, 2),
        (None, 0b100, 2),
        (None, 0b110, None),
        ("-1\n", -1, None),
    ],
)
def test_the_numa_node_is_the_hosts(
    new_library: Path,
    driver: FakeDriver,
    load: Callable[[Path], None],
    tmp_path: Path,
    in_sysfs: str | None,
    nodes: int,
    expected: int | None,
) -> None:
    """The kernel knows it; if not, the driver may; never is it the node of the GPU's own memory."""
    load(new_library)
    driver.change(A, bus="00000000:3B:00.0", nodes=nodes)
    if in_sysfs is not None:
        place = tmp_path / "bus/pci/devices/0000:3b:00.0"
        place.mkdir(parents=True)
        (place / "numa_node").write_text(in_sysfs)
    provider = NvmlProvider(sysfs=tmp_path)

    assert provider.devices()[0].numa_node == expected
    provider.close()


# ── memory and processes ───────────────────────────────────────────────────


def test_memory_that_the_driver_keeps_is_told_apart(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """A new driver says what it keeps."""
    driver.change(A, used=3 * GIB)

    memory = nvml.memory(A)

    assert (memory.used, memory.reserved, memory.free) == (3 * GIB, GIB // 2, 25 * GIB // 2)


def test_an_old_driver_counts_what_it_keeps_as_used(
    old_library: Path, driver: FakeDriver, load: Callable[[Path], None]
) -> None:
    """It has the first form of the answer only; nothing is free that is not."""
    load(old_library)
    driver.change(A, used=3 * GIB)
    provider = NvmlProvider()

    memory = provider.memory(A)

    assert (memory.used, memory.reserved, memory.free) == (7 * GIB // 2, 0, 25 * GIB // 2)
    provider.close()


def test_an_instance_has_memory_and_processes_of_its_own(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """Its neighbour on the same GPU is not touched."""
    driver.set_used(M1, GIB)
    driver.set_running(M1, [DeviceProcess(7, GIB)])

    assert [nvml.memory(uuid).used for uuid in (M1, M2)] == [GIB, 0]
    assert [nvml.processes(uuid) for uuid in (M1, M2)] == [[DeviceProcess(7, GIB)], []]


def test_clients_of_mps_are_processes_too(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """The driver lists them apart from the server, and one may be in both lists."""
    driver.set_running(A, [DeviceProcess(1, 30 * MIB), DeviceProcess(2, None)])
    driver.set_running(A, [DeviceProcess(2, GIB), DeviceProcess(3, GIB)], kind="mps")

    assert nvml.processes(A) == [
        DeviceProcess(1, 30 * MIB),
        DeviceProcess(2, GIB),
        DeviceProcess(3, GIB),
    ]


def test_what_a_container_cannot_see_is_unknown(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """A process that is said to use nothing uses an unknown amount; one without number is none."""
    driver.set_running(A, [DeviceProcess(5, 0), DeviceProcess(0, 9), DeviceProcess(6, None)])

    assert nvml.processes(A) == [DeviceProcess(5, None), DeviceProcess(6, None)]


def test_who_may_not_see_processes_sees_none(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """A refusal is no failure: the memory of the whole device is told all the same."""
    driver.set_running(A, [DeviceProcess(5, GIB)])
    driver.change(A, denied=True, used=GIB)

    assert nvml.processes(A) == []
    assert nvml.memory(A).used == GIB


def test_processes_that_change_too_fast_are_an_error(
    nvml: NvmlProvider, driver: FakeDriver
) -> None:
    """Asking again has an end."""
    driver.change(A, crowded=True)

    with pytest.raises(GpuError, match=f"{A} change too fast"):
        nvml.processes(A)


# ── devices and drivers that fail ──────────────────────────────────────────


@pytest.mark.parametrize("code", [LOST, RESET_REQUIRED, NOT_FOUND, UNKNOWN, DENIED, NO_INTERRUPTS])
def test_whatever_a_lost_gpu_says_it_is_lost(
    nvml: NvmlProvider, driver: FakeDriver, code: int
) -> None:
    """Drivers answer in several ways about a GPU off the bus; the message names it."""
    driver.lose(A, code)

    with pytest.raises(DeviceLost, match=A) as caught:
        nvml.memory(A)

    assert caught.value.reset_required == (code == RESET_REQUIRED)
    assert nvml.health(A) == DeviceHealth(lost=True, reset_required=code == RESET_REQUIRED)
    assert [d.uuid for d in nvml.devices()] == [B, M1, M2]


def test_instances_are_lost_with_their_gpu(nvml: NvmlProvider, driver: FakeDriver) -> None:
    """They are parts of it."""
    driver.lose(M1)

    assert nvml.health(M2).lost
    assert [d.uuid for d in nvml.devices()] == [A, B]


@pytest.mark.parametrize("code", [UNINITIALIZED, NOT_LOADED, MISMATCH])
def test_a_driver_that_dies_is_unavailable(
    nvml: NvmlProvider, driver: FakeDriver, code: int
) -> None:
    """Unloaded or replaced under the program: no device is to blame, and all questions say so."""
    nvml.faults(0)
    driver.break_down(code)

    for ask in (
        nvml.devices,
        lambda: nvml.memory(A),
        lambda: nvml.processes(A),
        lambda: nvml.health(A),
        lambda: nvml.faults(0),
    ):
        with pytest.raises(NvmlUnavailable, match="driver is gone"):
            ask()


def test_a_driver_that_may_not_be_asked_is_unavailable(
    new_library: Path, driver: FakeDriver, load: Callable[[Path], None]
) -> None:
    """Without permission there are no GPUs, for a reason."""
    load(new_library)
    driver.break_down(4)

    with pytest.raises(NvmlUnavailable, match="cannot be asked"):
        NvmlProvider()


# ── finding the library ────────────────────────────────────────────────────


CHILD = """
from aiotune_gpu import DeviceLost, NvmlProvider, verdict
from aiotune._devices import Wanted, find_resources

provider = NvmlProvider()
first = provider.devices()[0].uuid
print([d.uuid[:5] for d in provider.devices()], provider.memory(first).used >> 30)
print([d.uuid[:5] for d in find_resources(Wanted(), environ={}).devices])
provider.faults(0)
print("ready", flush=True)
input()
print(provider.faults(30))
print([d.uuid[:5] for d in provider.devices()], verdict(provider.health(first)))
try:
    provider.memory(first)
except DeviceLost as error:
    print(error)
provider.close()
"""


def test_a_process_finds_the_library_as_it_finds_nvidias(
    new_library: Path, driver: FakeDriver
) -> None:
    """In a process of its own: library, devices, memory, what a search gets, and a loss."""
    driver.change(A, used=2 * GIB)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "LD_LIBRARY_PATH": str(new_library.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = list(itertools.takewhile(lambda line: line != "ready\n", child.stdout))
        driver.lose(A)
        after, _ = child.communicate("\n")

    assert before == [
        "['GPU-0', 'GPU-1', 'MIG-3', 'MIG-4'] 2\n",
        "['GPU-0', 'GPU-1', 'MIG-3', 'MIG-4']\n",
    ]
    assert child.returncode == 0
    assert after.splitlines() == [
        f"[DeviceFault(uuid='{A}', xid=None)]",
        "['GPU-1', 'MIG-3', 'MIG-4'] Broken(reason='it does not answer')",
        f"Asking {A} failed: GPU is lost.",
    ]


def test_without_a_driver_nvml_is_unavailable() -> None:
    """On a machine without an NVIDIA driver the reason is told."""
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")

    with pytest.raises(NvmlUnavailable, match="driver"):
        NvmlProvider()


def test_another_distributions_pynvml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale module of the same name is told, with what to remove."""
    monkeypatch.setitem(sys.modules, "pynvml", types.ModuleType("pynvml"))

    with pytest.raises(NvmlUnavailable, match="nvidia-ml-py3"):
        NvmlProvider()
